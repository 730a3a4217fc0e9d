//! Servers of every version start, demand SCRAM, and come back with the same port and data.

use anyhow::Result;
use secrecy::{ExposeSecret, SecretString};
use testkit::assets::postgres::MAJORS;
use testkit::postgres::{PostgresServer, execute, query_one};

/// What claims ask for most; the packages must carry them.
const EXTENSIONS: [&str; 5] = [
    "citext",
    "hstore",
    "pgcrypto",
    "uuid-ossp",
    "pg_stat_statements",
];

#[tokio::test]
async fn every_version_serves_an_admin_that_is_no_superuser() -> Result<()> {
    for major in MAJORS {
        let server = PostgresServer::builder().major(major).start().await?;
        let admin = server.create_owner_admin().await?;
        let url = admin.dsn.url();
        let version = query_one(&url, "SHOW server_version_num").await?;
        assert_eq!(version.parse::<u32>()? / 10_000, major);
        assert_eq!(
            query_one(
                &url,
                "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
            )
            .await?,
            "f"
        );
        execute(&url, "CREATE DATABASE orders").await?;
        let superuser = server.superuser().database("orders").url();
        for extension in EXTENSIONS {
            execute(&superuser, &format!("CREATE EXTENSION \"{extension}\"")).await?;
        }
        let wrong = server
            .dsn(admin.dsn.login(), SecretString::from("wrong"))
            .url();
        let refused = format!("{:#}", query_one(&wrong, "SELECT 1").await.unwrap_err());
        assert!(
            refused.contains("password authentication failed"),
            "{refused}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn tls_is_demanded_and_verified() -> Result<()> {
    let server = PostgresServer::builder().with_tls().start().await?;
    let dsn = server.superuser();
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(query_one(&dsn.url(), sql).await?, "t");
    let plain = dsn.url().expose_secret().replace("verify-full", "disable");
    assert!(
        query_one(&SecretString::from(plain), "SELECT 1")
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn a_restart_keeps_port_and_data_and_the_log_shows_statements_but_no_password() -> Result<()>
{
    let mut server = PostgresServer::builder()
        .log_statements()
        .with_fsync()
        .start()
        .await?;
    let clerk = server.create_login("clerk", "").await?;
    server.create_database("orders", "clerk").await?;
    server.restart().await?;
    let url = clerk.clone().database("orders").url();
    execute(
        &url,
        "CREATE TABLE lines (id int); INSERT INTO lines VALUES (7)",
    )
    .await?;
    assert_eq!(query_one(&url, "SELECT id FROM lines").await?, "7");
    let log = server.log()?;
    assert!(log.contains("SELECT id FROM lines"));
    assert!(!log.contains(clerk.password().expose_secret()));
    assert!(!log.contains(server.superuser_password().expose_secret()));
    Ok(())
}
