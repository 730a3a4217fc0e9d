//! Rotations under load: pgbench's own count of failures, a client that connects for each query,
//! and one that stays connected.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use sqlx::{Connection, Row};
use testkit::assets;
use testkit::postgres::{PostgresServer, connect};
use testkit::wait::wait_for;

use crate::proxy::{Claim, Dbproxy};

const SWITCHES: u32 = 32;

/// What each client does again and again.
const SCRIPT: &str = "BEGIN;\nSELECT pg_sleep(0.001);\nSELECT session_user;\nEND;\n";

#[tokio::test(flavor = "multi_thread")]
async fn row_64_no_query_fails_through_thirty_switches_in_transaction_mode() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut claim = Claim::new(&server).await?;
    let mut dsn = claim.rotate().await?;
    let proxy = Dbproxy::ready(&dsn.url(), &[]).await?;
    let done = AtomicBool::new(false);
    let rounds = [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)];

    let mut staying = connect(&proxy.client()).await?;
    let switches = async {
        for number in 1..=SWITCHES {
            let before: Vec<u64> = rounds.iter().map(|it| it.load(Ordering::Relaxed)).collect();
            let previous = dsn;
            dsn = claim.rotate().await?;
            if number % 2 == 0 {
                proxy.publish(&dsn.url())?;
            } else {
                let text = secrecy::ExposeSecret::expose_secret(&dsn.url()).to_owned();
                proxy.volume.rename(&text)?;
            }
            let generation = f64::from(number + 1);
            proxy
                .reaches("dbproxy_credential_generation", generation)
                .await?;
            // The same connection of the client, now as the new login.
            let row = sqlx::raw_sql("SELECT session_user::text");
            let row = row.fetch_one(&mut staying).await?;
            assert_eq!(row.try_get::<String, _>(0)?, dsn.login());
            claim.is_left(previous.login()).await?;
            // The client that connects for each query did so.
            wait_for("every query to be asked", async || {
                let now = rounds[2].load(Ordering::Relaxed);
                Ok((now > before[2] + 1).then_some(()))
            })
            .await?;
        }
        done.store(true, Ordering::Relaxed);
        Ok(())
    };
    tokio::try_join!(
        Box::pin(switches),
        pgbench(&proxy, "simple", &done, &rounds[0]),
        pgbench(&proxy, "extended", &done, &rounds[1]),
        each_query_connects(&proxy, &done, &rounds[2]),
    )?;
    assert!(rounds.iter().all(|count| count.load(Ordering::Relaxed) > 0));
    staying.close().await?;
    let done_series = r#"dbproxy_credential_switches_total{outcome="done"}"#;
    assert!(proxy.metric(done_series).await? > f64::from(SWITCHES));
    let failed_series = r#"dbproxy_credential_switches_total{outcome="failed"}"#;
    assert!(proxy.metric(failed_series).await? < 1.0);
    assert!(proxy.metric("dbproxy_pool_transactions_total").await? > 100.0);
    assert!(proxy.process.stop().await?.success());
    server.stop().await
}

/// Runs pgbench until all is done; its clients stay connected through several switches each time.
async fn pgbench(proxy: &Dbproxy, mode: &str, done: &AtomicBool, rounds: &AtomicU64) -> Result<()> {
    let program = assets::postgres::binaries(assets::postgres::DEFAULT_MAJOR)?.join("pgbench");
    let script = proxy.workdir.join(&format!("{mode}.sql"));
    std::fs::write(&script, SCRIPT)?;
    while !done.load(Ordering::Relaxed) {
        let output = tokio::process::Command::new(&program)
            .args(["-n", "-c", "4", "-t", "500", "-M", mode, "-f"])
            .arg(&script)
            .args(["-h", "127.0.0.1", "-p", &proxy.port.to_string()])
            .args(["-U", "anybody", "anywhere"])
            .env("PGSSLMODE", "disable")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("{} can't be run", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "pgbench failed: {text}{said}");
        anyhow::ensure!(
            text.contains("number of failed transactions: 0 (0.000%)")
                && text.contains("actually processed: 2000/2000"),
            "pgbench counts failures: {text}{said}"
        );
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn each_query_connects(proxy: &Dbproxy, done: &AtomicBool, count: &AtomicU64) -> Result<()> {
    while !done.load(Ordering::Relaxed) {
        proxy.ask("SELECT session_user").await?;
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_another_server_is_switched_to_and_no_query_fails() -> Result<()> {
    let (old, new) = tokio::try_join!(
        PostgresServer::builder().start(),
        PostgresServer::builder().start()
    )?;
    // The same login at both: only the address tells them apart.
    let mut here = Claim::new(&old).await?;
    let mut there = Claim::new(&new).await?;
    let proxy = Dbproxy::ready(&here.rotate().await?.url(), &[]).await?;
    let done = AtomicBool::new(false);
    let counts = [AtomicU64::new(0), AtomicU64::new(0)];
    let port = "SELECT current_setting('port')";
    let switch = async {
        assert_eq!(proxy.ask(port).await?, old.port().to_string());
        proxy.publish(&there.rotate().await?.url())?;
        proxy.reaches("dbproxy_credential_generation", 2.0).await?;
        assert_eq!(proxy.ask(port).await?, new.port().to_string());
        here.is_left("clerk_a").await?;
        done.store(true, Ordering::Relaxed);
        Ok(())
    };
    tokio::try_join!(
        switch,
        pgbench(&proxy, "simple", &done, &counts[0]),
        each_query_connects(&proxy, &done, &counts[1]),
    )?;
    // The old server is needed no more.
    old.stop().await?;
    assert_eq!(proxy.ask(port).await?, new.port().to_string());
    assert!(proxy.process.stop().await?.success());
    new.stop().await
}
