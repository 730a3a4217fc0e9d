//! What goes wrong around dbproxy, and that it recovers by itself.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::postgres::PostgresServer;
use testkit::wait::wait_for;

use crate::proxy::{Claim, Dbproxy, with_wrong_password};

const GENERATION: &str = "dbproxy_credential_generation";

fn refusals(cause: &str) -> String {
    format!("dbproxy_credential_refusals_total{{cause=\"{cause}\"}}")
}

#[tokio::test]
async fn row_67_emptied_and_wrong_secrets_leave_the_last_good_credential() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let good = claim.rotate().await?;
    let proxy = Dbproxy::ready(&good.url(), &[]).await?;
    proxy.acknowledges(Some(1)).await?;
    assert!(proxy.metric("dbproxy_credential_file_good").await? > 0.0);
    for (text, cause) in [
        ("", "file_empty"),
        ("no DSN at all", "file_invalid"),
        ("postgres://host-without-login/db", "file_invalid"),
    ] {
        let before = proxy.metric(&refusals(cause)).await?;
        proxy.volume.rename(text)?;
        proxy.reaches(&refusals(cause), before + 1.0).await?;
        assert_eq!(proxy.ask("SELECT session_user").await?, "clerk_a");
        assert!(proxy.metric("dbproxy_credential_file_good").await? < 1.0);
    }
    let next = claim.rotate().await?;
    proxy.publish(&with_wrong_password(&next))?;
    proxy.reaches(&refusals("login"), 1.0).await?;
    proxy.acknowledges(None).await?;
    assert_eq!(proxy.ask("SELECT session_user").await?, "clerk_a");
    assert!(proxy.is_ready().await);
    assert!(proxy.log()?.contains("the last good one stays"));

    proxy.publish(&next.url())?;
    proxy.serves("clerk_b").await?;
    proxy.acknowledges(Some(3)).await?;
    proxy.reaches("dbproxy_credential_file_good", 1.0).await?;
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

#[tokio::test]
async fn row_64_pgbouncer_killed_during_switches_is_mended_and_the_switch_ends_well() -> Result<()>
{
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let proxy = Dbproxy::ready(&claim.rotate().await?.url(), &[]).await?;
    for number in 1..=5 {
        let dsn = claim.rotate().await?;
        let pid = Pid::from_raw(proxy.pgbouncer_pid()?);
        proxy.publish(&dsn.url())?;
        // The configuration is written, or is about to be.
        if number % 2 == 0 {
            wait_for("the new configuration", async || {
                let text = std::fs::read_to_string(proxy.ini())?;
                Ok(text.contains(dsn.login()).then_some(()))
            })
            .await?;
        }
        kill(pid, Signal::SIGKILL)?;
        proxy.reaches(GENERATION, f64::from(number + 1)).await?;
        proxy.serves(dsn.login()).await?;
        let restarts = "dbproxy_pgbouncer_restarts_total";
        proxy.reaches(restarts, f64::from(number)).await?;
    }
    proxy.becomes_ready().await?;
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

#[tokio::test]
async fn row_66_dbproxy_killed_during_a_switch_starts_again_over_what_it_left() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let mut proxy = Dbproxy::ready(&claim.rotate().await?.url(), &[]).await?;
    let orphan = Pid::from_raw(proxy.pgbouncer_pid()?);
    let dsn = claim.rotate().await?;
    proxy.publish(&dsn.url())?;
    proxy.process.kill().await?;
    proxy.start_again().await?;
    proxy.becomes_ready().await?;
    proxy.serves(dsn.login()).await?;
    assert_ne!(Pid::from_raw(proxy.pgbouncer_pid()?), orphan);
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

#[tokio::test]
async fn row_68_a_database_that_is_away_is_waited_for() -> Result<()> {
    let mut server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let dsn = claim.rotate().await?;
    server.stop().await?;
    let proxy = Dbproxy::start(None, &[]).await?;
    proxy.reaches(&refusals("file_unreadable"), 1.0).await?;
    assert!(!proxy.is_ready().await);
    proxy.publish(&dsn.url())?;
    proxy.reaches(&refusals("server_away"), 1.0).await?;
    assert!(!proxy.is_ready().await && proxy.process.is_running());
    server.start_again().await?;
    proxy.becomes_ready().await?;
    assert_eq!(proxy.ask("SELECT session_user").await?, "clerk_a");

    // Away once more, with a credential in use: not ready, and ready again.
    server.stop().await?;
    wait_for("dbproxy to be not ready", async || {
        Ok((!proxy.is_ready().await).then_some(()))
    })
    .await?;
    assert!(proxy.process.is_running());
    server.start_again().await?;
    proxy.becomes_ready().await?;
    proxy.serves("clerk_a").await?;
    let restarts = proxy.metric("dbproxy_pgbouncer_restarts_total").await?;
    assert!(restarts < 1.0, "an outage of the server restarts nothing");
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

/// As when a disk is full: nothing is half written, and the switch is made when there is room.
#[tokio::test]
async fn a_directory_that_takes_no_files_leaves_the_last_good_credential() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let proxy = Dbproxy::ready(&claim.rotate().await?.url(), &[]).await?;
    let run = proxy.workdir.join("run");
    std::fs::set_permissions(&run, Permissions::from_mode(0o555))?;
    proxy.publish(&claim.rotate().await?.url())?;
    let failed = "dbproxy_credential_switches_total{outcome=\"failed\"}";
    proxy.reaches(failed, 2.0).await?;
    assert_eq!(proxy.ask("SELECT session_user").await?, "clerk_a");
    assert!(proxy.is_ready().await);
    std::fs::set_permissions(&run, Permissions::from_mode(0o755))?;
    proxy.serves("clerk_b").await?;
    proxy.acknowledges(Some(2)).await?;
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}
