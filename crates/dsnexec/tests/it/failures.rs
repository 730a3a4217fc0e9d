//! What fails harms nothing else, is tried again, and says nothing that is secret.

use anyhow::Result;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};
use testkit::postgres::{PostgresServer, connect, execute, query_one};
use testkit::wait::wait_for;

use crate::stage::Stage;

#[tokio::test]
async fn row_72_a_config_is_tried_again_until_the_database_is_back() -> Result<()> {
    let mut server = PostgresServer::builder().start().await?;
    let superuser = server.superuser().url();
    execute(&superuser, "CREATE TABLE t (n int)").await?;
    server.stop().await?;
    let stage = Stage::new()?;
    let dsn = superuser.expose_secret();
    let config = format!(
        r"
configs:
  away:
    destination: {{driver: postgres, dsn: '{dsn}'}}
    commands: [{{command: INSERT INTO t VALUES (1)}}]
  good:
    destination: {{driver: fprintf, dsn: 'file:///files/out'}}
    commands: [{{command: done}}]
"
    );
    let program = stage.start(&config, &[]).await?;
    program
        .unready("config away: no connection to the destination: the server can't be reached")
        .await?;
    // The other one runs nevertheless.
    wait_for("the other config", async || {
        Ok((std::fs::read_to_string(stage.path("out"))? == "done").then_some(()))
    })
    .await?;
    server.start_again().await?;
    program.ready().await?;
    assert_eq!(
        query_one(&superuser, "SELECT count(*)::text FROM t").await?,
        "1"
    );
    let metrics = program.get("/metrics").await?;
    for line in [
        r#"dsnexec_runs_total{config="away",result="success"} 1"#,
        r#"dsnexec_config_current{config="away"} 1"#,
        r#"dsnexec_runs_total{config="good",result="failure"} 0"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    program.stop().await?;
    server.stop().await
}

#[tokio::test]
async fn row_72_an_invalid_source_is_an_error_of_its_config_alone() -> Result<()> {
    let stage = Stage::new()?;
    stage.write("dsn", "hunter2")?;
    let config = r"
configs:
  bad:
    sources: [{driver: postgres, filename: /files/dsn}]
    destination: {driver: fprintf, dsn: 'file:///files/bad'}
    commands: [{command: '{{ (index . `/files/dsn`).host }}'}]
  good:
    destination: {driver: fprintf, dsn: 'file:///files/good'}
    commands: [{command: '100%%'}]
";
    let program = stage.start(config, &[]).await?;
    program.unready("is refused: not a DSN").await?;
    wait_for("the other config", async || {
        Ok((std::fs::read_to_string(stage.path("good"))? == "100%").then_some(()))
    })
    .await?;
    stage.write("dsn", "host=pg user=u")?;
    program.ready().await?;
    assert_eq!(std::fs::read_to_string(stage.path("bad"))?, "pg");

    // What was good and is refused now is told as well, and the last good one stays.
    stage.write("dsn", "hunter2")?;
    program.unready("is refused: not a DSN").await?;
    stage.write("dsn", "host=pg user=u")?;
    program.ready().await?;
    assert!(!program.log()?.contains("hunter2"));
    program.stop().await
}

#[tokio::test]
async fn row_72_once_waits_for_what_is_missing_and_ends() -> Result<()> {
    let stage = Stage::new()?;
    let config = r"
configs:
  init:
    sources: [{driver: postgres, filename: /files/dsn}]
    destination: {driver: fprintf, dsn: 'file://fprintf/files/out'}
    commands: [{command: '%s', args: ['{{ (index . `/files/dsn`).user }}']}]
";
    // Waits, and does not end well if it is stopped before it was done.
    let program = stage.start(config, &["--once"]).await?;
    program.unready("config init").await?;
    assert!(!program.process.stop().await?.success());

    stage.write("dsn", "host=h user=clerk_a")?;
    let (is_done, log) = stage.run(config, &["--once"]).await?;
    assert!(is_done, "{log}");
    assert_eq!(std::fs::read_to_string(stage.path("out"))?, "clerk_a");
    Ok(())
}

#[tokio::test]
async fn row_72_a_run_that_has_begun_is_finished_at_sigterm() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let superuser = server.superuser().url();
    execute(&superuser, "CREATE TABLE t (n int)").await?;
    let lock = lock(&superuser).await?;
    let dsn = superuser.expose_secret();
    let stage = Stage::new()?;
    let config = format!(
        r"
configs:
  slow:
    destination: {{driver: postgres, dsn: '{dsn}'}}
    commands: [{{command: SELECT pg_advisory_lock(7)}}, {{command: INSERT INTO t VALUES (1)}}]
"
    );
    let program = stage.start(&config, &[]).await?;
    waiting(&superuser).await?;
    let release = async {
        wait_for("the signal to arrive", async || {
            Ok(program.log()?.contains("stopping").then_some(()))
        })
        .await?;
        lock.close().await?;
        Ok(())
    };
    tokio::try_join!(program.stop(), release)?;
    assert_eq!(
        query_one(&superuser, "SELECT count(*)::text FROM t").await?,
        "1"
    );
    server.stop().await
}

#[tokio::test]
async fn a_change_in_the_middle_of_a_run_leads_to_another_run() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let superuser = server.superuser().url();
    execute(&superuser, "CREATE TABLE t (who text)").await?;
    let lock = lock(&superuser).await?;
    let dsn = superuser.expose_secret();
    let stage = Stage::new()?;
    stage.write("dsn", "host=h user=clerk_a")?;
    let config = format!(
        r"
configs:
  slow:
    sources: [{{driver: postgres, filename: /files/dsn}}]
    destination: {{driver: postgres, dsn: '{dsn}'}}
    commands:
    - {{command: SELECT pg_advisory_lock(7)}}
    - {{command: INSERT INTO t VALUES ($1), args: ['{{{{ (index . `/files/dsn`).user }}}}']}}
"
    );
    let program = stage.start(&config, &[]).await?;
    waiting(&superuser).await?;
    stage.write("dsn", "host=h user=clerk_b")?;
    wait_for("the file to be read", async || {
        Ok(program.log()?.contains(r#""generation":2"#).then_some(()))
    })
    .await?;
    lock.close().await?;
    let all = "SELECT string_agg(who, ' ' ORDER BY who) FROM t";
    wait_for("both runs", async || {
        let all = query_one(&superuser, all).await?;
        anyhow::ensure!(all == "clerk_a clerk_b", "{all}");
        Ok(Some(()))
    })
    .await?;
    program.stop().await?;
    server.stop().await
}

/// Takes a lock that a command of a test wants.
async fn lock(superuser: &SecretString) -> Result<PgConnection> {
    let mut lock = connect(superuser).await?;
    sqlx::raw_sql("SELECT pg_advisory_lock(7)")
        .execute(&mut lock)
        .await?;
    Ok(lock)
}

/// Waits until a command wants it.
async fn waiting(superuser: &SecretString) -> Result<()> {
    let waiting = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    wait_for("a command to wait", async || {
        Ok((query_one(superuser, waiting).await? == "1").then_some(()))
    })
    .await
}

#[tokio::test]
async fn row_73_a_password_is_in_no_log_metric_or_error() -> Result<()> {
    const CANARY: &str = "canary7#Kd^2=Wq:9mZ";
    let server = PostgresServer::builder().start().await?;
    server.create_login("clerk", "").await?;
    let login = server.dsn("clerk", SecretString::from(CANARY));
    execute(
        &server.superuser().url(),
        &format!("ALTER ROLE clerk PASSWORD '{CANARY}'"),
    )
    .await?;
    let stage = Stage::new()?;
    stage.write_dsn("dsn", &login.url())?;
    let wrong = server
        .dsn("clerk", SecretString::from(format!("wrong {CANARY}")))
        .url();
    let good = login.url();
    let (wrong, good) = (wrong.expose_secret(), good.expose_secret());
    let password = r#"{{ index . "/files/dsn" "password" }}"#;
    let source = "sources: [{driver: postgres, filename: /files/dsn}]";
    let config = format!(
        r"
configs:
  refused:
    {source}
    destination: {{driver: postgres, dsn: '{wrong}'}}
    commands: [{{command: SELECT 1}}]
  quoted:
    {source}
    destination: {{driver: postgres, dsn: '{good}'}}
    commands: [{{command: 'SELECT ''{password}''::int'}}]
  told:
    {source}
    destination: {{driver: postgres, dsn: '{good}'}}
    commands: [{{command: 'DO $$ BEGIN RAISE WARNING ''{password}''; RAISE ''{password}''; END $$'}}]
  bound:
    {source}
    destination: {{driver: postgres, dsn: '{good}'}}
    commands: [{{command: 'SELECT $1::text::int', args: ['{password}']}}]
  cast:
    {source}
    destination: {{driver: postgres, dsn: '{good}'}}
    commands: [{{command: SELECT $1, args: ['int:{password}']}}]
  program:
    {source}
    destination: {{driver: shelldb}}
    commands:
    - {{command: echo, args: ['it is {password}']}}
    - {{command: 'no-{password}', args: ['{{{{ index . `/files/dsn` `raw_dsn` }}}}']}}
"
    );
    let program = stage.start(&config, &["--allow-shelldb"]).await?;
    for problem in [
        "config refused: no connection to the destination: the server refuses with SQLSTATE 28P01",
        "config quoted: command 1 (SELECT): the server refuses with SQLSTATE 22P02",
        "config told: command 1 (DO): the server refuses with SQLSTATE P0001",
        "config bound: command 1 (SELECT): the server refuses with SQLSTATE 22P02",
        "config cast: command 1 (SELECT), argument 1: what follows int: is not of it",
        "config program: command 2 (program): the program can't be started: entity not found",
    ] {
        program.unready(problem).await?;
    }
    let answer = program.get("/readyz").await.unwrap_err().to_string();
    let said = [program.log()?, program.get("/metrics").await?, answer].join("\n");
    assert!(said.contains("it is ***"), "{said}");
    assert!(!said.contains("canary7"), "{said}");
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", program.process.pid()))?;
    assert!(!arguments.contains("canary7"));
    program.stop().await?;
    server.stop().await
}
