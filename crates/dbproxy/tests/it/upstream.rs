//! The way to the server and the ways in: certificates that are verified, and the unix socket.

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Row};
use testkit::pki::Authority;
use testkit::postgres::{Dsn, PostgresServer};
use testkit::process::{RunAs, Workdir};

use crate::proxy::{Claim, Dbproxy};

#[tokio::test]
async fn row_62_the_server_is_verified_and_a_wrong_authority_changes_nothing() -> Result<()> {
    let server = PostgresServer::builder().with_tls().start().await?;
    let mut claim = Claim::new(&server).await?;
    let proxy = Dbproxy::start(None, &[]).await?;
    let beside = proxy.volume.file().with_file_name("ca.crt");
    std::fs::copy(server.ca_file().context("no authority")?, &beside)?;
    let dsn = |login: &Dsn, mode| {
        let (host, password) = (server.host(), login.password().clone());
        let dsn = Dsn::new(host, server.port(), login.login(), password);
        dsn.parameter("sslmode", mode).url()
    };
    let is_encrypted = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

    proxy.publish(&dsn(&claim.rotate().await?, "verify-full"))?;
    proxy.becomes_ready().await?;
    proxy.serves("clerk_a").await?;
    assert_eq!(proxy.ask(is_encrypted).await?, "true");
    proxy.publish(&dsn(&claim.rotate().await?, "verify-ca"))?;
    proxy.serves("clerk_b").await?;
    claim.is_left("clerk_a").await?;

    let third = claim.rotate().await?;
    std::fs::write(&beside, Authority::new("somebody else")?.pem())?;
    proxy.publish(&dsn(&third, "verify-full"))?;
    // No server that anybody vouches for is like no server: it is tried again.
    let refused = r#"dbproxy_credential_refusals_total{cause="server_away"}"#;
    proxy.reaches(refused, 2.0).await?;
    assert_eq!(proxy.ask("SELECT session_user").await?, "clerk_b");
    assert!(proxy.is_ready().await);

    std::fs::copy(server.ca_file().context("no authority")?, &beside)?;
    proxy.serves("clerk_a").await?;
    assert_eq!(proxy.ask(is_encrypted).await?, "true");
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

#[tokio::test]
async fn row_61_clients_may_use_a_unix_socket() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let workdir = Workdir::new("socket")?;
    let folder = workdir.join("sockets");
    std::fs::create_dir(&folder)?;
    if let Some(account) = RunAs::unprivileged()? {
        account.own(&folder)?;
    }
    let first = claim.rotate().await?;
    let env = [("DBPROXY_SOCKET_DIR", &*folder.to_string_lossy())];
    let proxy = Dbproxy::ready(&first.url(), &env).await?;
    let options = PgConnectOptions::new_without_pgpass()
        .socket(&folder)
        .port(proxy.port)
        .username("anybody")
        .database("anywhere")
        .ssl_mode(PgSslMode::Disable);
    let mut client = options.connect().await?;
    for login in ["clerk_a", "clerk_b"] {
        let row = sqlx::raw_sql("SELECT session_user::text");
        let row = row.fetch_one(&mut client).await?;
        assert_eq!(row.try_get::<String, _>(0)?, login);
        proxy.publish(&claim.rotate().await?.url())?;
        proxy.reaches("dbproxy_credential_generation", 2.0).await?;
    }
    client.close().await?;
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}
