//! `connect`: psql with the credential that the claim publishes now, or, for programs, where it
//! would log in.
//! The password goes through a file that only the caller can read, never over a command line or
//! the environment, which others on the machine may see.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use api::names::secret_key as key;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::Ended;
use crate::args::Output;
use crate::claims;
use crate::cluster::Cluster;
use crate::output;

/// Runs psql with `arguments` until it ends, and ends as it does.
pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    arguments: &[String],
    output: Output,
) -> Result<Ended> {
    let summary = claims::find(cluster, name).await?.summary();
    let secret = cluster.api::<Secret>().get_opt(&summary.secret).await;
    let secret = secret.with_context(|| format!("cannot read Secret {}", summary.secret))?;
    let Some(data) = secret.and_then(|secret| secret.data) else {
        bail!(
            "claim {name} has not published Secret {} yet",
            summary.secret
        );
    };
    if output == Output::Json {
        output::json(&place(name, &summary.secret, &data))?;
        return Ok(Ended::Well);
    }
    let folder = TempDir::with_prefix("kubectl-dbclaim-").context("no folder for the password")?;
    let mut psql = psql(&data, folder.path())?;
    let mut child = psql
        .args(arguments)
        .spawn()
        .context("cannot run psql: is it installed, and in PATH?")?;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended?,
            // An interrupt is for psql, which ends a query by it and not itself.
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(Ended::As(code.unwrap_or(1)))
}

/// Everything that the Secret says of the login but its password.
fn place(name: &str, secret: &str, data: &BTreeMap<String, ByteString>) -> Value {
    let text = |key: &str| data.get(key).and_then(|text| str::from_utf8(&text.0).ok());
    json!({
        "claim": name,
        "secret": secret,
        "type": text(key::TYPE),
        "login": text(key::USERNAME),
        "host": text(key::HOSTNAME),
        "port": text(key::PORT),
        "database": text(key::DATABASE),
    })
}

fn psql(data: &BTreeMap<String, ByteString>, folder: &Path) -> Result<Command> {
    let text = |key: &str| {
        let found = data.get(key).and_then(|text| str::from_utf8(&text.0).ok());
        found.with_context(|| format!("the Secret has no {key}"))
    };
    if text(key::TYPE).is_ok_and(|engine| engine != "postgresql") {
        bail!(
            "connect is for PostgreSQL; this claim is on {}",
            text(key::TYPE)?
        );
    }
    let mut words = Vec::new();
    for (name, key) in [
        ("host", key::HOSTNAME),
        ("port", key::PORT),
        ("user", key::USERNAME),
        ("dbname", key::DATABASE),
        ("sslmode", key::SSL_MODE),
    ] {
        let value = text(key)?.replace('\\', r"\\").replace('\'', r"\'");
        words.push(format!("{name}='{value}'"));
    }
    let mut psql = Command::new("psql");
    psql.arg(words.join(" "));
    psql.env_remove("PGPASSWORD");
    psql.env("PGPASSFILE", write(folder, "pgpass", text(key::PGPASS)?)?);
    if let Ok(ca) = text(key::CA) {
        psql.env("PGSSLROOTCERT", write(folder, "ca.crt", ca)?);
    }
    Ok(psql)
}

/// A file that its owner alone can read.
fn write(folder: &Path, name: &str, text: &str) -> Result<std::path::PathBuf> {
    let path = folder.join(name);
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.context("cannot write beside the password")?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}
