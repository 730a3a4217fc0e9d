//! The files of `secretTemplate.formats`, each read by a client of its kind that logs in with it;
//! and the type of the Secret.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use api::claim::{DatabaseClaim, FORMATS};
use api::conditions::Type;
use api::names::secret_key as key;
use serde_json::{Value, json};
use testkit::assets::clients::{Engine, Language};
use testkit::assets::{self, workspace};
use testkit::env;
use testkit::postgres::PostgresServer;
use testkit::process::Workdir;
use testkit::wait::wait_for;

use crate::role_claims::RoleClaims;
use crate::support::{Stage, Texts, condition_of, existing, merge, own};

/// Owner role and database: each character means something to one of the readers.
const HOSTILE: &str = "o'r \"d\\e$r{s}=#:%41 ünï-東京";

/// Passwords of all kinds of characters.
const COMPLEX: &str = "passwordConfig:\n  passwordComplexity: enabled\n  minPasswordLength: 60\n";

const FILES: [&str; 4] = [key::DOTENV, key::SPRING, key::DJANGO, key::NODE];

const WHO: &str = "SELECT json_build_array(current_user, current_database())::text";

/// Runs a client with a published file, as a pod that mounts the Secret does; returns what it says.
pub(crate) fn ask_with(mut client: Command, published: &Texts, file: &str) -> Result<String> {
    let workdir = Workdir::new("mounted")?;
    let text = published
        .get(file)
        .with_context(|| format!("no key {file}"))?;
    client.arg(workdir.write(file, text)?).arg(WHO);
    if let Some(ca) = published.get(key::CA) {
        client.env("PGSSLROOTCERT", workdir.write("ca.crt", ca)?);
    }
    let output = client.output().context("cannot run a client")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "with {file}: {errors}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn client(language: Language, program: &str) -> Result<Command> {
    let program = Path::new("tests/claims/formats").join(program);
    language.program(Engine::Postgres, &workspace().join(program))
}

/// Logs in with `.env`, which the shell reads too.
fn psql() -> Result<Command> {
    let program = assets::postgres::binaries(assets::postgres::DEFAULT_MAJOR)?.join("psql");
    let mut shell = Command::new("sh");
    let script = r#". "$1"; exec "$0" -qXAtc "$2" "$DATABASE_URL""#;
    shell.args(["-c", script]).arg(program);
    Ok(shell)
}

async fn everybody_logs_in(published: Texts, role: &str, database: &str) -> Result<()> {
    let wanted = json!([role, database]);
    let asked = tokio::task::spawn_blocking(move || -> Result<Vec<(&str, Value)>> {
        let clients = [
            (key::DOTENV, psql()?),
            (key::SPRING, client(Language::Java, "Login.java")?),
            (key::DJANGO, client(Language::Python, "login.py")?),
            (key::NODE, client(Language::Node, "login.js")?),
        ];
        let all = clients.into_iter().map(|(file, client)| {
            let answer = ask_with(client, &published, file)?;
            let answer = serde_json::from_str(&answer).with_context(|| answer.clone())?;
            Ok((file, answer))
        });
        all.collect()
    });
    for (file, answer) in asked.await?? {
        ensure!(answer == wanted, "{file}: {answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn frameworks_log_in_with_their_files_through_rotations() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller(COMPLEX).await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let port = json!({ "port": postgres.port() });
        let server = stage.server("main", &admin, port).await?;
        let template =
            json!({ "formats": FORMATS, "data": { "PLACE": "{host}:{port}?{sslmode}" } });
        let spec = json!({
            "userName": HOSTILE, "databaseName": HOSTILE, "server": server,
            "secretTemplate": template,
        });
        stage.claim("shop", spec).await?;
        let claim = stage.ready("shop").await?;
        ensure!(condition_of(&claim, Type::FieldsIgnored).is_none());
        let place = format!("localhost:{}?disable", postgres.port());
        ensure!(stage.secret("shop").await?["PLACE"] == place);
        everybody_logs_in(stage.secret("shop").await?, HOSTILE, HOSTILE).await?;
        stage.rotate("shop").await?;
        everybody_logs_in(stage.secret("shop").await?, HOSTILE, HOSTILE).await?;

        let role_claims = RoleClaims::of(&stage);
        tenants(&stage, &role_claims).await?;

        // A file that is no longer wished goes before its password ends.
        let fewer = json!({ "spec": { "secretTemplate": { "formats": ["node", "url"] } } });
        stage.patch("shop", fewer).await?;
        wait_for("the files to go", async || {
            let secret = stage.secret("shop").await?;
            ensure!(secret.contains_key(key::NODE) && secret.contains_key(key::URI));
            let left: Vec<_> = FILES
                .iter()
                .filter(|file| secret.contains_key(**file))
                .collect();
            Ok((left == [&key::NODE]).then_some(()))
        })
        .await?;
        wait_for("the copy to follow", async || {
            let (copy, secret) = (stage.secret("copy").await?, stage.secret("shop").await?);
            Ok((copy == secret).then_some(()))
        })
        .await?;
        postgres.stop().await
    })
    .await
}

/// Role claims have the files of their claim, or those of their own.
async fn tenants(stage: &Stage, role_claims: &RoleClaims) -> Result<()> {
    let own = json!({
        "labels": { "team": "reports" }, "type": "servicebinding.io/postgresql",
        "formats": ["django"],
    });
    let template = json!({ "secretTemplate": own });
    role_claims.create("copy", "shop", template.clone()).await?;
    let ignored = role_claims
        .condition("copy", Type::FieldsIgnored, "NoEffect")
        .await?;
    ensure!(
        ignored.message.contains("secretTemplate.formats") && !ignored.message.contains("type"),
        "{}",
        ignored.message
    );
    ensure!(stage.secret("copy").await? == stage.secret("shop").await?);
    let mut mapped = json!({ "schemarolemap": { "public": "readonly" } });
    role_claims.create("heir", "shop", mapped.clone()).await?;
    role_claims.ready("heir").await?;
    let heir = stage.secret("heir").await?;
    everybody_logs_in(heir, "heir_user", HOSTILE).await?;
    merge(&mut mapped, template);
    role_claims.create("own", "shop", mapped).await?;
    role_claims.ready("own").await?;
    let secret = stage.secret("own").await?;
    let files: Vec<_> = FILES
        .into_iter()
        .filter(|file| secret.contains_key(*file))
        .collect();
    ensure!(
        files == [key::DJANGO] && !secret.contains_key("PLACE"),
        "{files:?}"
    );
    for name in ["copy", "own"] {
        let secret = stage.secrets().get(name).await?;
        ensure!(secret.type_.as_deref() == Some("servicebinding.io/postgresql"));
        let labels = secret.metadata.labels.unwrap_or_default();
        ensure!(labels.get("team").map(String::as_str) == Some("reports"));
    }
    // A bad text keeps nobody's logins.
    let bad = json!({ "spec": { "secretTemplate": { "data": { "BAD": "{user}" } } } });
    role_claims.patch("own", bad).await?;
    role_claims
        .condition("own", Type::Ready, "InvalidSpec")
        .await?;
    role_claims.delete("own").await?;
    let note = stage.event("own", "Deleted").await?;
    ensure!(note.contains("logins and role are gone"), "{note}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn node_and_django_verify_the_server_as_the_claim_says() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let postgres = PostgresServer::builder().with_tls().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let ca = std::fs::read_to_string(postgres.ca_file().context("a server without CA")?)?;
        let full = json!({ "port": postgres.port(), "sslMode": "verify-full", "caBundle": ca });
        let server = stage.server("vault", &admin, full).await?;
        let spec = json!({
            "userName": "clerk", "databaseName": "orders", "server": server,
            "secretTemplate": { "formats": ["django", "node"] },
        });
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        let published = stage.secret("shop").await?;
        let stranger = testkit::pki::Authority::new("somebody else")?.pem();
        tokio::task::spawn_blocking(move || -> Result<()> {
            let node = || client(Language::Node, "login.js");
            let python = || client(Language::Python, "login.py");
            for (file, client) in [(key::NODE, node()?), (key::DJANGO, python()?)] {
                let answer = ask_with(client, &published, file)?;
                ensure!(answer == r#"["clerk", "orders"]"#, "{file}: {answer}");
            }
            let mut misled = published.clone();
            let mut config: Value = serde_json::from_str(&published[key::NODE])?;
            config["ssl"]["ca"] = stranger.into();
            misled.insert(key::NODE.to_owned(), config.to_string());
            let refused = ask_with(node()?, &misled, key::NODE);
            let refused = refused.err().context("a stranger is trusted")?;
            ensure!(
                format!("{refused:#}").contains("certificate"),
                "{refused:#}"
            );
            Ok(())
        })
        .await??;
        postgres.stop().await
    })
    .await
}

/// What the claim says of a type that has no effect.
fn ignored_type(claim: &DatabaseClaim) -> Option<String> {
    let ignored = condition_of(claim, Type::FieldsIgnored)?;
    let message = ignored.message.clone();
    message.contains("secretTemplate.type").then_some(message)
}

#[tokio::test]
async fn the_type_of_a_secret_counts_from_its_making_on() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = super::owned_database(env).await?;
        let typed = |wished: &str| json!({ "secretTemplate": { "type": wished } });
        let mut spec = existing(&own("clerk"), &admin);
        merge(&mut spec, typed("servicebinding.io/postgresql"));
        stage.claim("shop", spec).await?;
        ensure!(ignored_type(&stage.ready("shop").await?).is_none());
        let type_of = async |name: &str| anyhow::Ok(stage.secrets().get(name).await?.type_);
        let first = Some("servicebinding.io/postgresql".to_owned());
        ensure!(type_of("shop").await? == first);

        let other = "kubernetes.io/basic-auth";
        stage.patch("shop", json!({ "spec": typed(other) })).await?;
        let said = |claim: &DatabaseClaim| ignored_type(claim).is_some();
        let claim = stage.claim_when("shop", "the type to be ignored", said);
        let message = ignored_type(&claim.await?).unwrap_or_default();
        for words in [first.as_deref().unwrap_or_default(), other, "Secret shop"] {
            ensure!(message.contains(words), "{message}");
        }
        stage.rotate("shop").await?;
        ensure!(type_of("shop").await? == first, "a Secret was made again");

        let renamed = json!({ "spec": { "secretName": "till" } });
        stage.patch("shop", renamed).await?;
        ensure!(ignored_type(&stage.ready("shop").await?).is_none());
        ensure!(type_of("till").await?.as_deref() == Some(other));
        ensure!(type_of("shop").await? == first);
        crate::support::log_in(&stage.secret("till").await?)
            .await
            .map(drop)
    })
    .await
}
