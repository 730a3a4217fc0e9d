//! What README, docs and samples show must be what the product takes: each YAML in them is read as
//! its kind, and each of its keys must still be there when it is written again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use api::config::Config;
use api::server::DatabaseServer;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use testkit::assets::workspace;

/// First line of a block that is a values file of the chart.
const VALUES: &str = "# values.yaml";

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect())
}

/// The contents of the fenced `yaml` blocks of a Markdown text.
fn blocks(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match (&mut open, line.trim()) {
            (None, "```yaml") => open = Some(String::new()),
            (Some(_), "```") => all.extend(open.take()),
            (Some(block), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    all
}

fn check(yaml: &str) -> Result<()> {
    if yaml.starts_with(VALUES) {
        let _: Value = serde_saphyr::from_str(yaml)?;
        return Ok(());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    for document in documents.iter().filter(|document| !document.is_null()) {
        match document.get("kind").and_then(Value::as_str) {
            Some("DatabaseClaim") => survives::<DatabaseClaim>(document)?,
            Some("DatabaseServer") => survives::<DatabaseServer>(document)?,
            Some(_) => {}
            None => is_config(yaml)?,
        }
    }
    Ok(())
}

fn is_config(yaml: &str) -> Result<()> {
    let parsed = Config::parse(yaml).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    let warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    ensure!(warnings.is_empty(), "{}", warnings.join("\n"));
    Ok(())
}

fn survives<T: Serialize + DeserializeOwned>(document: &Value) -> Result<()> {
    let read: T = serde_json::from_value(document.clone())?;
    contains(&serde_json::to_value(read)?, document, "")
}

/// Whether `whole` has everything that `part` has.
fn contains(whole: &Value, part: &Value, path: &str) -> Result<()> {
    let Value::Object(fields) = part else {
        ensure!(whole == part, "{path} is {part} and was read as {whole}");
        return Ok(());
    };
    for (key, value) in fields {
        let path = format!("{path}.{key}");
        let found = whole.get(key);
        contains(
            found.with_context(|| format!("{path} is not known"))?,
            value,
            &path,
        )?;
    }
    Ok(())
}

#[test]
fn what_the_documents_show_is_what_the_product_takes() -> Result<()> {
    let root = workspace();
    let mut documents = files(&root.join("docs"), "md")?;
    documents.push(root.join("README.md"));
    let mut seen = 0;
    for path in documents {
        for block in blocks(&fs::read_to_string(&path)?) {
            check(&block).with_context(|| format!("{}:\n{block}", path.display()))?;
            seen += 1;
        }
    }
    ensure!(seen > 0, "no YAML was found");
    Ok(())
}

#[test]
fn the_samples_are_what_the_product_takes() -> Result<()> {
    let samples = files(&workspace().join("config/samples"), "yaml")?;
    ensure!(!samples.is_empty(), "no sample was found");
    for path in samples {
        check(&fs::read_to_string(&path)?).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}

#[test]
fn an_unknown_field_a_wrong_type_and_a_wrong_config_key_are_found() {
    for wrong in [
        "kind: DatabaseClaim\nmetadata: {name: a}\nspec: {userName: a, databaseName: a, sever: b}",
        "kind: DatabaseClaim\nmetadata: {name: a}\nspec: {userName: [a], databaseName: a}",
        "kind: DatabaseServer\nmetadata: {name: a}\nspec: {host: a}",
        "defaultSslMod: require",
        "defaultSslMode: perhaps",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
