//! README, guides and samples do what they say: their objects are taken by a live cluster, their
//! samples become Ready on a real server, their configurations serve, and their commands exist.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use api::claim::DatabaseClaim;
use api::config::Config;
use api::names::annotation;
use api::role_claim::DbRoleClaim;
use api::server::DatabaseServer;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::{Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use testkit::assets::programs::Program;
use testkit::assets::workspace;
use testkit::env;
use testkit::postgres::{Dsn, PostgresServer, execute};
use testkit::wait::wait_for;

use crate::support::{Stage, condition_of, log_in, merge, rotation_of};

const DOCUMENTS: [&str; 4] = [
    "README.md",
    "docs/user-guide.md",
    "docs/operations.md",
    "charts/db-controller/README.md",
];

/// First line of a block that is a values file of the chart, or its first key.
const VALUES: [&str; 2] = ["# values.yaml", "watchNamespaces:"];

/// The namespace and the server that all documents speak of.
const NAMESPACE: &str = "shop";
const SERVER: &str = "main";
const HOST: &str = "pg1.internal";

/// The contents of a document's fenced blocks of one language.
fn blocks(document: &str, language: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(workspace().join(document))?;
    let mut found = Vec::new();
    for part in text.split(&format!("```{language}\n")).skip(1) {
        let (block, _) = part.split_once("```").context("a block without end")?;
        found.push(block.to_owned());
    }
    Ok(found)
}

/// Path and content of each sample.
fn samples() -> Result<Vec<(PathBuf, String)>> {
    let mut folders = vec![workspace().join("config/samples")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), fs::read_to_string(path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn sample(name: &str) -> Result<String> {
    let path = workspace().join("config/samples").join(name);
    fs::read_to_string(path).with_context(|| name.to_owned())
}

fn objects(yaml: &str) -> Result<Vec<DynamicObject>> {
    let found: Vec<Option<DynamicObject>> = serde_saphyr::from_multiple(yaml)?;
    Ok(found.into_iter().flatten().collect())
}

fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| &types.kind)
}

/// The API of a document's object, in the test's namespace.
fn api_of(stage: &Stage, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let client: Client = stage.client.clone();
    Ok(match kind(object) {
        "DatabaseServer" => Api::all_with(client, &ApiResource::erase::<DatabaseServer>(&())),
        "DatabaseClaim" => {
            let resource = ApiResource::erase::<DatabaseClaim>(&());
            Api::namespaced_with(client, &stage.namespace, &resource)
        }
        "DbRoleClaim" => {
            let resource = ApiResource::erase::<DbRoleClaim>(&());
            Api::namespaced_with(client, &stage.namespace, &resource)
        }
        "Deployment" => {
            let resource = ApiResource::erase::<Deployment>(&());
            Api::namespaced_with(client, &stage.namespace, &resource)
        }
        "Pod" => {
            let resource = ApiResource::erase::<Pod>(&());
            Api::namespaced_with(client, &stage.namespace, &resource)
        }
        other => bail!("a document shows a {other}: teach this test about it"),
    })
}

#[tokio::test]
async fn row_96_the_cluster_takes_every_object_that_a_document_shows() -> Result<()> {
    env(async |env| {
        env.install_chart("").await?;
        let stage = Stage::of(env);
        let mut params = PatchParams::apply("test").force().dry_run();
        params.field_validation = Some(ValidationDirective::Strict);
        let mut texts = Vec::new();
        for document in DOCUMENTS {
            for block in blocks(document, "yaml")? {
                texts.push((document.to_owned(), block));
            }
        }
        texts.extend(
            samples()?
                .into_iter()
                .map(|(path, text)| (path.display().to_string(), text)),
        );
        let mut seen = 0;
        for (place, text) in texts.iter().filter(|(_, text)| text.contains("\nkind: ")) {
            for mut object in objects(text)? {
                object.metadata.namespace = None;
                let (api, name) = (api_of(&stage, &object)?, object.name_any());
                // A pod is taken once its namespace has the account that it runs under.
                let taken = wait_for(format!("the cluster to take {name}"), async || {
                    let answer = api.patch(&name, &params, &Patch::Apply(&object)).await;
                    Ok(Some(answer?))
                });
                taken.await.with_context(|| format!("{place}:\n{text}"))?;
                seen += 1;
            }
        }
        ensure!(seen >= 8, "{seen} objects");
        // The same check finds a field that does not exist.
        let wrong = sample("new-database.yaml")?.replace("userName:", "user:");
        for object in objects(&wrong)? {
            let answer = api_of(&stage, &object)?
                .patch("wrong", &params, &Patch::Apply(&object))
                .await;
            assert!(answer.is_err(), "an unknown field is not noticed");
        }
        Ok(())
    })
    .await
}

#[test]
fn row_96_every_other_block_is_a_configuration_or_values_of_the_chart() -> Result<()> {
    let mut seen = 0;
    for document in DOCUMENTS {
        for block in blocks(document, "yaml")? {
            if block.contains("\nkind: ") || VALUES.iter().any(|first| block.starts_with(first)) {
                continue;
            }
            let parsed = Config::parse(&block)
                .map_err(|problems| anyhow::anyhow!("{document}: {problems:?}\n{block}"))?;
            ensure!(
                parsed.warnings.is_empty(),
                "{document}: {:?}",
                parsed.warnings
            );
            seen += 1;
        }
    }
    ensure!(seen > 0, "no configuration is shown");
    Ok(())
}

/// The stage of the documents: a server with the admins that they name, and their Secrets.
struct Documented {
    stage: Stage,
    postgres: PostgresServer,
    server: String,
}

impl Documented {
    fn admin(&self, login: &str) -> Dsn {
        let password = SecretString::from(format!("of-{login}"));
        self.postgres.dsn(login, password)
    }

    /// Makes an admin by the statement that operations.md shows.
    async fn make_admin(&self, login: &str) -> Result<()> {
        let statements = blocks("docs/operations.md", "sql")?;
        let statement = statements.first().context("operations.md makes no admin")?;
        let statement = statement
            .replace("dbadmin", login)
            .replace('…', self.admin(login).password().expose_secret());
        execute(&self.postgres.superuser().url(), &statement).await
    }

    async fn put_secrets(&self) -> Result<()> {
        let parts = |login: &str| {
            let password = self.admin(login).password().expose_secret().to_owned();
            (login.to_owned(), password)
        };
        let (login, password) = parts("dbadmin");
        let data = [("username", &*login), ("password", &*password)];
        self.stage.put_secret("main-admin", &data).await?;
        let (_, password) = parts("admin");
        let data = [("password", &*password)];
        self.stage.put_secret("warehouse-admin", &data).await?;
        Ok(())
    }

    /// A document's text with this test's addresses and names in place of its own.
    fn here(&self, text: &str) -> String {
        let port = self.postgres.port();
        text.replace(&format!("{HOST}:5432"), &format!("localhost:{port}"))
            .replace(HOST, "localhost")
            .replace("port: 5432", &format!("port: {port}"))
    }

    /// Applies a document's object, changed in nothing but names and addresses.
    async fn apply(&self, text: &str) -> Result<String> {
        let mut name = String::new();
        for mut object in objects(&self.here(text))? {
            let change = if kind(&object) == "DatabaseServer" {
                object.metadata.name = Some(self.server.clone());
                json!({
                    "port": self.postgres.port(),
                    "allowedNamespaces": { "names": [self.stage.namespace] }
                })
            } else {
                assert_eq!(object.metadata.namespace.as_deref(), Some(NAMESPACE));
                object.metadata.namespace = None;
                let mut change = json!({ "class": self.stage.namespace });
                if let Some(server) = object.data.pointer("/spec/server") {
                    assert_eq!(server, SERVER);
                    merge(&mut change, json!({ "server": self.server }));
                }
                change
            };
            merge(&mut object.data, json!({ "spec": change }));
            name = object.name_any();
            let params = PatchParams::apply("test").force();
            let api = api_of(&self.stage, &object)?;
            api.patch(&name, &params, &Patch::Apply(&object)).await?;
        }
        Ok(name)
    }

    /// Applies a claim's text, waits until it is Ready and logs in with its Secret.
    async fn serves(&self, text: &str, owner: &str) -> Result<DatabaseClaim> {
        let name = self.apply(text).await?;
        let claim = self.stage.ready(&name).await?;
        let secret = self.stage.secret(claim.secret_name()).await?;
        assert_eq!(log_in(&secret).await?, owner, "{name}");
        Ok(claim)
    }
}

#[tokio::test]
async fn row_96_the_samples_become_ready_on_a_real_server() -> Result<()> {
    env(async |env| {
        let documented = Documented {
            stage: Stage::of(env),
            postgres: PostgresServer::builder().offering_tls().start().await?,
            server: format!("{SERVER}-{}", env.namespace()),
        };
        for login in ["dbadmin", "admin"] {
            documented.make_admin(login).await?;
        }
        documented
            .postgres
            .create_database("warehouse", "admin")
            .await?;
        documented.put_secrets().await?;
        // The sample's configuration, with a port since the real one is not 5432.
        let port = documented.postgres.port();
        let config = documented.here(&sample("config.yaml")?).replace(
            "host: localhost",
            &format!("host: localhost\n  port: {port}"),
        );
        let _controller = env.controller(&config).await?;

        documented.apply(&sample("server.yaml")?).await?;
        documented
            .serves(&sample("new-database.yaml")?, "clerk")
            .await?;
        documented
            .serves(&sample("existing-database.yaml")?, "storekeeper")
            .await?;
        let full = documented
            .serves(&sample("full-claim.yaml")?, "bookkeeper")
            .await?;
        for type_ in [
            api::conditions::Type::Degraded,
            api::conditions::Type::FieldsIgnored,
        ] {
            assert!(condition_of(&full, type_).is_none(), "{:?}", full.status);
        }
        // The host block of the configuration is a server by its name.
        let spec = json!({ "server": "atlas.main", "userName": "teller", "databaseName": "till" });
        documented.stage.claim("till", spec).await?;
        documented.stage.ready("till").await?;
        // The guide's first claim is the sample; so is the README's.
        for document in ["README.md", "docs/user-guide.md"] {
            let claim = claim_of(document)?;
            assert_eq!(
                claim,
                objects(&sample("new-database.yaml")?)?[0].data,
                "{document}"
            );
        }
        rotates_by_the_guides_command(&documented.stage).await?;
        deletes_by_policy(&documented).await
    })
    .await
}

fn claim_of(document: &str) -> Result<Value> {
    for block in blocks(document, "yaml")? {
        let found = objects(&block).unwrap_or_default();
        if let Some(object) = found
            .into_iter()
            .find(|object| kind(object) == "DatabaseClaim")
        {
            return Ok(object.data);
        }
    }
    bail!("{document} shows no claim")
}

/// What `kubectl annotate` of the user guide does.
async fn rotates_by_the_guides_command(stage: &Stage) -> Result<()> {
    let commands = blocks("docs/user-guide.md", "sh")?;
    let command = commands.iter().find(|block| block.contains("annotate"));
    let command = command.context("the guide does not rotate")?;
    assert!(
        command.contains("annotate databaseclaim orders --overwrite"),
        "{command}"
    );
    let assignment = command.split_whitespace().find(|word| word.contains('='));
    let (key, _) = assignment
        .and_then(|word| word.split_once('='))
        .context("no key")?;
    assert_eq!(key, annotation::ROTATE);
    let patch = json!({ "metadata": { "annotations": { key: "1764000000" } } });
    stage.patch("orders", patch).await?;
    stage
        .claim_when("orders", "the rotation", |claim| {
            let rotation = rotation_of(claim);
            rotation.is_some_and(|rotation| rotation.handled_nonce.as_deref() == Some("1764000000"))
        })
        .await?;
    Ok(())
}

/// `full-claim.yaml` says Delete; the server's default is Retain.
async fn deletes_by_policy(documented: &Documented) -> Result<()> {
    let Documented {
        stage, postgres, ..
    } = documented;
    stage.delete("ledger").await?;
    stage.delete("orders").await?;
    let databases = testkit::postgres::query(
        &postgres.superuser().url(),
        "SELECT datname FROM pg_database WHERE datname IN ('ledger', 'orders')",
    )
    .await?;
    assert_eq!(databases, [[Some("orders".to_owned())]]);
    wait_for("the Secret of ledger to be gone", async || {
        let secret = stage.secrets().get_opt("ledger-database").await?;
        Ok(secret.is_none().then_some(()))
    })
    .await?;
    stage.secret("orders").await.map(drop)
}

#[test]
fn row_96_every_command_that_a_document_shows_exists() -> Result<()> {
    let mut seen = 0;
    for document in DOCUMENTS {
        for block in blocks(document, "sh")? {
            let joined = block.replace("\\\n", " ");
            for line in joined.lines().filter(|line| !line.trim().is_empty()) {
                let words: Vec<_> = line.split_whitespace().collect();
                match words.as_slice() {
                    ["cargo", "xtask", command, ..] => is_xtask(command)?,
                    // Run for real by the chart's own test; here the path must be right.
                    ["helm", "install" | "template" | "upgrade", _, chart, ..] => {
                        ensure!(
                            workspace().join(chart).join("Chart.yaml").exists(),
                            "{line}"
                        );
                    }
                    ["kubectl", ..] => {}
                    _ => bail!("{document}: teach this test about: {line}"),
                }
                seen += 1;
            }
        }
    }
    ensure!(seen > 3, "{seen} commands");
    Ok(())
}

fn is_xtask(command: &str) -> Result<()> {
    let main = fs::read_to_string(workspace().join("crates/xtask/src/main.rs"))?;
    let module = format!("mod {command};");
    ensure!(
        main.contains(&module),
        "cargo xtask {command} does not exist"
    );
    Ok(())
}

#[test]
fn row_96_operations_has_every_flag_and_no_other() -> Result<()> {
    let output = Command::new(Program::Controller.binary()?)
        .arg("--help")
        .output()?;
    let help = String::from_utf8(output.stdout)?;
    let operations = fs::read_to_string(workspace().join("docs/operations.md"))?;
    let (_, section) = operations
        .split_once("\n## Flags\n")
        .context("no section")?;
    let table = section.split("\n## ").next().unwrap_or_default();
    let flags = |text: &str| {
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        let flags = words.filter(|word| word.starts_with("--") && word.len() > 4);
        flags
            .map(ToOwned::to_owned)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (mut real, told) = (flags(&help), flags(table));
    for general in ["--help", "--version"] {
        real.remove(general);
    }
    assert_eq!(told, real);
    Ok(())
}
