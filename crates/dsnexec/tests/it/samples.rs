//! The worked example of the reference, but for the folder of its files.

use anyhow::Result;
use secrecy::ExposeSecret;
use testkit::postgres::{PostgresServer, execute, query, query_one};
use testkit::wait::wait_for;

use crate::stage::Stage;

const SAMPLE: &str = r#"
configs:
  foreign-server:
    sources:
    - driver: postgres
      filename: /var/run/db-dsn/dsn.txt
    destination:
      driver: hotload
      dsn: fsnotify://postgres/var/run/db-dsn/uri_dsn.txt
    commands:
    - command: ALTER SERVER billing OPTIONS (SET host '{{ index . "/var/run/db-dsn/dsn.txt" "host" }}')
    - command: INSERT INTO changes (who, port) VALUES ($1, $2)
      args:
      - '{{ index . "/var/run/db-dsn/dsn.txt" "user" }}'
      - 'int32:{{ index . "/var/run/db-dsn/dsn.txt" "port" }}'
"#;

#[tokio::test]
async fn row_70_the_sample_runs_at_the_start_and_at_every_change() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let superuser = server.superuser().url();
    execute(
        &superuser,
        "CREATE FOREIGN DATA WRAPPER nothing;
         CREATE SERVER billing FOREIGN DATA WRAPPER nothing OPTIONS (host 'nowhere');
         CREATE TABLE changes (who text, port int);",
    )
    .await?;
    let second = server.create_login("clerk_b", "SUPERUSER").await?;

    let stage = Stage::new()?;
    let sample = SAMPLE.replace("/var/run/db-dsn/", "/files/");
    let login = server.superuser();
    stage.write_dsn("uri_dsn.txt", &login.url())?;
    stage.write("dsn.txt", login.url().expose_secret())?;
    let program = stage.start(&sample, &[]).await?;
    program.ready().await?;
    let options = query_one(
        &superuser,
        "SELECT srvoptions::text FROM pg_foreign_server WHERE srvname = 'billing'",
    );
    assert_eq!(options.await?, "{host=localhost}");

    // A rotation: the destination's file first, or it would be tried again.
    stage.write_dsn("uri_dsn.txt", &second.url())?;
    stage.write("dsn.txt", second.url().expose_secret())?;
    let changes = "SELECT who, port::text FROM changes ORDER BY who = 'clerk_b'";
    let rows = wait_for("the commands to run again", async || {
        let rows = query(&superuser, changes).await?;
        Ok((rows.len() == 2).then_some(rows))
    })
    .await?;
    let port = Some(server.port().to_string());
    assert_eq!(rows[0], [Some(login.login().to_owned()), port.clone()]);
    assert_eq!(rows[1], [Some("clerk_b".to_owned()), port]);
    program.stop().await?;
    server.stop().await
}
