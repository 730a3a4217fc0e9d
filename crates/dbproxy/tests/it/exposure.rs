//! What others can see: of the port, and of the password.

use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use testkit::postgres::{Dsn, PostgresServer, query_one};

use crate::proxy::{Claim, Dbproxy};

#[tokio::test]
async fn row_62_only_loopback_answers() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let dsn = Claim::new(&server).await?.rotate().await?;
    let proxy = Dbproxy::ready(&dsn.url(), &[]).await?;
    assert!(TcpStream::connect(("127.0.0.1", proxy.port)).is_ok());
    let ours = own_address()?;
    let refused = TcpStream::connect((ours, proxy.port)).map(drop);
    let kind = refused.map_err(|err| err.kind());
    assert_eq!(kind, Err(std::io::ErrorKind::ConnectionRefused), "{ours}");
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

/// An address of this host that is not loopback. Nothing is sent.
fn own_address() -> Result<IpAddr> {
    let interfaces = std::fs::read_to_string("/proc/net/fib_trie")?;
    let mut before = "";
    for line in interfaces.lines() {
        let address = before.trim().trim_start_matches("|-- ").parse::<IpAddr>();
        match address {
            Ok(address) if line.contains("/32 host LOCAL") && !address.is_loopback() => {
                return Ok(address);
            }
            _ => before = line,
        }
    }
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket
        .connect("192.0.2.1:9")
        .context("this host has no address but loopback")?;
    Ok(socket.local_addr()?.ip())
}

#[tokio::test]
async fn row_61_clients_may_ask_for_tls() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let dsn = Claim::new(&server).await?.rotate().await?;
    let proxy = Dbproxy::ready(&dsn.url(), &[]).await?;
    let client = Dsn::new("localhost", proxy.port, "x", "y".into()).parameter("sslmode", "require");
    let question = "SELECT session_user";
    assert_eq!(query_one(&client.url(), question).await?, "clerk_a");
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

#[tokio::test]
async fn row_76_the_password_is_in_one_private_file_and_nowhere_else() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let first = claim.rotate().await?;
    let proxy = Dbproxy::ready(&first.url(), &[("DBPROXY_LOG_LEVEL", "trace")]).await?;
    let second = claim.rotate().await?;
    proxy.publish(&second.url())?;
    proxy.serves("clerk_b").await?;
    let broken = format!("{}&sslmode=unheard-of", second.url().expose_secret());
    proxy.volume.rename(&broken)?;
    let invalid = r#"dbproxy_credential_refusals_total{cause="file_invalid"}"#;
    proxy.reaches(invalid, 1.0).await?;

    let mut seen = vec![("metrics".to_owned(), proxy.metrics().await?)];
    for pid in [
        proxy.process.pid().to_string(),
        proxy.pgbouncer_pid()?.to_string(),
    ] {
        for file in ["cmdline", "environ"] {
            let path = Path::new("/proc").join(&pid).join(file);
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            assert!(!text.is_empty());
            seen.push((path.display().to_string(), text));
        }
    }
    let ini = proxy.ini();
    let mode = std::fs::metadata(&ini)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let canary = second.password().expose_secret();
    assert!(
        std::fs::read_to_string(&ini)?.contains(canary),
        "the canary is one"
    );
    for entry in std::fs::read_dir(proxy.workdir.join("run"))? {
        let path = entry?.path();
        if path != ini {
            seen.push((path.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    assert!(proxy.process.stop().await?.success());
    seen.push(("log".to_owned(), proxy.log()?));
    for (place, text) in seen {
        for password in [first.password(), second.password()] {
            assert!(
                !text.contains(password.expose_secret()),
                "{place} shows a password"
            );
        }
    }
    server.stop().await
}
