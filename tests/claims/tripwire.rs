//! Whoever tries a retired credential is told of; and nobody else, nothing twice, and only by names
//! that are ours.

use anyhow::{Context, Result, ensure};
use api::conditions::{self, Type};
use api::names::secret_key as key;
use api::server::{DatabaseServer, DatabaseServerStatus};
use kube::Api;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::controller::ControllerProcess;
use testkit::postgres::{PostgresServer, connect, execute, quote};
use testkit::wait::wait_for;
use testkit::{TestEnv, env, names};

use crate::support::{Stage, Texts, log_in};

/// Logs are read as often as credentials are proved.
const OFTEN: &str = "driftCheckPeriod: 1s\n";

const REASON: &str = "RetiredCredentialUsed";

async fn status(stage: &Stage, server: &str) -> Result<DatabaseServerStatus> {
    let servers: Api<DatabaseServer> = Api::all(stage.client.clone());
    Ok(servers.get(server).await?.status.unwrap_or_default())
}

/// Waits until the condition Tripwire has that reason; returns its message.
pub(crate) async fn tripwire(stage: &Stage, server: &str, reason: &str) -> Result<String> {
    wait_for(format!("Tripwire {reason}"), async || {
        let status = status(stage, server).await?;
        let found = conditions::find(&status.conditions, Type::Tripwire);
        let found = found.context("no condition")?;
        ensure!(found.reason == reason, "{found:?}");
        Ok(Some(found.message.clone()))
    })
    .await
}

/// What the controller has counted in the namespace, over both phases.
pub(crate) async fn counted(stage: &Stage, controller: &ControllerProcess) -> Result<u64> {
    let page = controller.metrics().await?;
    let namespace = format!("namespace=\"{}\"", stage.namespace);
    let series = "dbcontroller_retired_credential_attempts_total{";
    let samples = page.lines().filter(|line| line.starts_with(series));
    let samples = samples.filter(|line| line.contains(&namespace));
    let values = samples.filter_map(|line| line.rsplit(' ').next());
    values
        .map(|value| value.parse::<u64>().context("no number"))
        .sum()
}

/// Tries a retired credential until the claim hears of it. Returns how often, and the Event's note.
pub(crate) async fn try_until_told(
    stage: &Stage,
    claim: &str,
    retired: &Texts,
) -> Result<(u64, String)> {
    let mut times = 0;
    let note = wait_for(format!("Event {REASON} of {claim}"), async || {
        ensure!(log_in(retired).await.is_err(), "a retired credential works");
        times += 1;
        let events = stage.events(claim).await?;
        let found = events.into_iter().find(|(reason, _)| reason == REASON);
        Ok(found.map(|(_, note)| note))
    })
    .await?;
    Ok((times, note))
}

pub(crate) async fn wait_for_count(
    stage: &Stage,
    controller: &ControllerProcess,
    count: u64,
) -> Result<()> {
    wait_for("all attempts to be counted", async || {
        let counted = counted(stage, controller).await?;
        ensure!(counted >= count, "{counted} of {count}");
        ensure!(counted == count, "{counted} are too many for {count}");
        Ok(Some(()))
    })
    .await
}

/// A server whose log can be read, with the tripwire on.
async fn watched(stage: &Stage, server: &PostgresServer) -> Result<String> {
    let admin = server.create_owner_admin().await?.dsn;
    server.let_read_refusals(admin.login()).await?;
    let tripwire = json!({ "enabled": true, "grace": "1s" });
    let more = json!({ "port": server.port(), "tripwire": tripwire });
    let name = stage.server("watched", &admin, more).await?;
    tripwire_is_on(stage, &name).await?;
    Ok(name)
}

async fn tripwire_is_on(stage: &Stage, server: &str) -> Result<()> {
    tripwire(stage, server, "Available").await.map(drop)
}

fn on(server: &str, role: &str, database: &str) -> Value {
    json!({ "userName": role, "databaseName": database, "server": server })
}

/// Somebody with names that no claim has, which must go nowhere.
async fn strangers(server: &PostgresServer) -> Result<String> {
    let canary = names::random(12);
    for name in [
        format!("stranger_{canary}"),
        format!("x\"; {canary}\n"),
        format!("clerk_a\\\" {canary}"),
    ] {
        let dsn = server.dsn(&name, SecretString::from("wrong")).url();
        ensure!(connect(&dsn).await.is_err(), "{name} got in");
    }
    Ok(canary)
}

async fn events_of(stage: &Stage, claim: &str) -> Result<usize> {
    let events = stage.events(claim).await?;
    Ok(events.iter().filter(|(reason, _)| reason == REASON).count())
}

#[tokio::test]
async fn a_retired_credential_that_is_tried_is_told_once_and_nothing_else_is() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller(OFTEN).await?;
        let server = PostgresServer::builder().log_to("jsonlog").start().await?;
        let name = watched(&stage, &server).await?;
        stage.claim("shop", on(&name, "clerk", "orders")).await?;
        stage.ready("shop").await?;
        let first = stage.secret("shop").await?;
        stage.rotate("shop").await?;

        // The controller's own proof of a password that somebody changed is refused too.
        let second = stage.secret("shop").await?;
        let login = second.get(key::USERNAME).context("no login")?;
        let by_hand = format!("ALTER ROLE {} PASSWORD 'by hand'", quote(login));
        execute(&server.superuser().url(), &by_hand).await?;
        stage.event("shop", "PasswordRestored").await?;
        log_in(&second).await?;
        log_in(&first).await?;
        stage.rotate("shop").await?;

        let canary = strangers(&server).await?;
        for right in [&second, &stage.secret("shop").await?] {
            log_in(right).await?;
        }
        let (times, note) = try_until_told(&stage, "shop", &first).await?;
        let login = first.get(key::USERNAME).context("no login")?;
        ensure!(note.contains(&format!("login {login} from ")), "{note}");
        ensure!(note.contains("kubectl dbclaim revoke"), "{note}");
        wait_for_count(&stage, &controller, times).await?;
        controller.stop().await?;
        let recorded = status(&stage, &name).await?.tripwire.context("no record")?;
        ensure!(recorded.last_attempt_at.is_some(), "{recorded:?}");

        // A restart reads on where the first one ended.
        let controller = env.controller(OFTEN).await?;
        stage.claim("till", on(&name, "cashier", "sales")).await?;
        stage.ready("till").await?;
        let retired = stage.secret("till").await?;
        stage.rotate("till").await?;
        stage.rotate("till").await?;
        let (times, _) = try_until_told(&stage, "till", &retired).await?;
        wait_for_count(&stage, &controller, times).await?;
        assert_eq!(events_of(&stage, "shop").await?, 1);

        let told = serde_json::to_string(&stage.events("shop").await?)?;
        let status = serde_json::to_string(&status(&stage, &name).await?)?;
        for text in [told, status, controller.log()?, controller.metrics().await?] {
            ensure!(!text.contains(&canary), "a stranger's name: {text}");
        }
        Ok(())
    })
    .await
}

async fn shut_out(env: &TestEnv, stage: &Stage) -> Result<()> {
    let admin = env.create_owner_admin().await?;
    let more = json!({ "port": env.postgres().port(), "tripwire": { "enabled": true } });
    let name = stage.server("logless", &admin, more).await?;
    let message = tripwire(stage, &name, "NoLog").await?;
    ensure!(message.contains("logging_collector"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_server_whose_log_cannot_be_read_says_so_and_serves_its_claims() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller(OFTEN).await?;
        shut_out(env, &stage).await?;
        let server = PostgresServer::builder().log_to("csvlog").start().await?;
        let admin = server.create_owner_admin().await?.dsn;
        let more = json!({ "port": server.port(), "tripwire": { "enabled": true } });
        let name = stage.server("deaf", &admin, more).await?;
        let message = tripwire(&stage, &name, "NoFunction").await?;
        ensure!(message.contains("dbcontroller.refused_logins"), "{message}");
        stage.claim("shop", on(&name, "clerk", "orders")).await?;
        stage.ready("shop").await?;
        server.let_read_refusals(admin.login()).await?;
        tripwire_is_on(&stage, &name).await
    })
    .await
}
