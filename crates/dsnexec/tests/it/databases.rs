//! Statements that reach a real server.

use anyhow::Result;
use secrecy::ExposeSecret;
use testkit::postgres::{PostgresServer, execute, query, query_one};

use crate::stage::Stage;

#[tokio::test]
async fn row_71_numbers_reach_the_server_as_numbers() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let superuser = server.superuser().url();
    execute(
        &superuser,
        "CREATE TABLE t (a smallint, b int, c bigint, d float8, e bool, f text, g numeric)",
    )
    .await?;
    let stage = Stage::new()?;
    stage.write(
        "facts.json",
        r#"{"small": 7, "port": 5432, "big": 9007199254740993, "rate": 0.5, "on": true,
            "deep": {"name": "it's"}}"#,
    )?;
    stage.write("facts.yaml", "price: 1000000\n")?;
    let dsn = superuser.expose_secret();
    let config = format!(
        r#"
configs:
  numbers:
    sources:
    - {{driver: json, filename: /files/facts.json}}
    - {{driver: yaml, filename: /files/facts.yaml}}
    - {{driver: none, filename: /files/config.yaml}}
    destination:
      driver: postgres
      dsn: {dsn}
    commands:
    - command: INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7::text::numeric)
      args:
      - 'int16:{{{{ index . "/files/facts.json" "small" }}}}'
      - '{{{{ index . "/files/facts.json" "port" }}}}'
      - '{{{{ index . "/files/facts.json" "big" }}}}'
      - '{{{{ index . "/files/facts.json" "rate" }}}}'
      - '{{{{ index . "/files/facts.json" "on" }}}}'
      - '{{{{ (index . "/files/facts.json").deep.name }}}}'
      - '{{{{ index . "/files/facts.yaml" "price" }}}}'
    - command: |
        UPDATE t SET b = b + {{{{ index . "/files/facts.json" "small" }}}};
        UPDATE t SET f = upper(f)
"#
    );
    let (is_done, log) = stage.run(&config, &["--once"]).await?;
    assert!(is_done, "{log}");
    let row = query_one(&superuser, "SELECT t::text FROM t").await?;
    assert_eq!(row, "(7,5439,9007199254740993,0.5,t,IT'S,1000000)");
    server.stop().await
}

#[tokio::test]
async fn row_72_a_transaction_leaves_nothing_behind_when_a_command_fails() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let superuser = server.superuser().url();
    execute(
        &superuser,
        "CREATE TABLE one (n int); CREATE TABLE all_ (n int)",
    )
    .await?;
    let dsn = superuser.expose_secret();
    let stage = Stage::new()?;
    let config = format!(
        r"
configs:
  apart:
    destination: {{driver: postgres, dsn: '{dsn}'}}
    commands:
    - command: INSERT INTO one VALUES (1)
    - command: INSERT INTO nowhere VALUES (2)
  together:
    transaction: true
    destination: {{driver: postgres, dsn: '{dsn}'}}
    commands:
    - command: INSERT INTO all_ VALUES ($1)
      args: ['1']
    - command: INSERT INTO nowhere VALUES (2)
"
    );
    let program = stage.start(&config, &[]).await?;
    for config in ["apart", "together"] {
        let problem = "command 2 (INSERT): the server refuses with SQLSTATE 42P01";
        program
            .unready(&format!("config {config}: {problem}"))
            .await?;
    }
    assert_ne!(
        query_one(&superuser, "SELECT count(*)::text FROM one").await?,
        "0"
    );
    assert_eq!(
        query_one(&superuser, "SELECT count(*)::text FROM all_").await?,
        "0"
    );

    // What was missing comes, and both are done; the one as often as it was tried.
    execute(&superuser, "CREATE TABLE nowhere (n int)").await?;
    program.ready().await?;
    assert_eq!(
        query_one(&superuser, "SELECT count(*)::text FROM all_").await?,
        "1"
    );
    program.stop().await?;
    server.stop().await
}

#[tokio::test]
async fn an_argument_that_does_not_fit_is_refused_by_number() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let superuser = server.superuser().url();
    execute(&superuser, "CREATE TABLE t (n int, m numeric)").await?;
    let dsn = superuser.expose_secret();
    let stage = Stage::new()?;
    let config = |values: &str, arguments: &str| {
        format!(
            "configs: {{c: {{destination: {{driver: postgres, dsn: '{dsn}'}}, commands: [
             {{command: 'INSERT INTO t VALUES ({values})', args: {arguments}}}]}}}}"
        )
    };
    for (values, arguments, want) in [
        ("$1", "[hunter2]", "argument 1 is no number of 32 bits"),
        (
            "$1",
            "['1', '2']",
            "the statement has 1 parameters, and there are 2 arguments",
        ),
        (
            "1, $1",
            "['1']",
            "argument 1 is for a parameter of a type that is not supported; write $1::text and cast that",
        ),
        (
            "$1",
            "['int8:300']",
            "argument 1: what follows int8: is not of it",
        ),
    ] {
        let program = stage.start(&config(values, arguments), &[]).await?;
        program.unready(want).await?;
        assert!(!program.log()?.contains("hunter2"));
        program.stop().await?;
    }
    assert_eq!(query(&superuser, "SELECT n FROM t").await?.len(), 0);
    server.stop().await
}
