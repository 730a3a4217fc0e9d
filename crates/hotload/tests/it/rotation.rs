//! Rotations of a real login under load, with the drivers of the examples.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use hotload::{Connect, Metrics, Mode, Options, Pool, Source};
use prometheus::Registry;
use secrecy::{ExposeSecret, SecretString};
use testkit::names;
use testkit::postgres::{Dsn, PostgresServer, execute, query_one, quote};
use testkit::wait::wait_for;
use tokio_util::sync::CancellationToken;

use testkit::volume::Volume;

#[path = "../../examples/sqlx/connect.rs"]
mod sqlx_driver;
#[path = "../../examples/tokio_postgres/connect.rs"]
mod tokio_postgres_driver;

use sqlx_driver::Sqlx;
use tokio_postgres_driver::TokioPostgres;

const ROTATIONS: u64 = 20;
const WORKERS: usize = 8;

/// A question that takes a moment, as a transaction of its own.
const QUESTION: &str = "BEGIN; SELECT pg_sleep(0.002); COMMIT";

#[tokio::test(flavor = "multi_thread")]
async fn row_74_twenty_rotations_under_load_fail_no_query_with_sqlx() -> Result<()> {
    rotate(Sqlx, async |connection| {
        sqlx::raw_sql(QUESTION).execute(connection).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_74_twenty_rotations_under_load_fail_no_query_with_tokio_postgres() -> Result<()> {
    rotate(TokioPostgres, async |client| {
        Ok(client.batch_execute(QUESTION).await?)
    })
    .await
}

/// Rotates as the controller does: two logins in turn, each changed only while nobody uses it.
async fn rotate<C: Connect>(
    connect: C,
    ask: impl AsyncFn(&mut C::Connection) -> Result<()>,
) -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let mut logins: Vec<Dsn> = Vec::new();
    for suffix in ["a", "b"] {
        let name = format!("clerk_{suffix}");
        logins.push(server.create_login(&name, "").await?);
    }
    let volume = Volume::with(logins[0].url().expose_secret()).unwrap();
    let source = Source::new("postgres", volume.file(), Mode::Graceful);
    let options = Options {
        max_connections: WORKERS,
        jitter: Duration::from_millis(20),
        ..Options::default()
    };
    let metrics = Metrics::new(&Registry::new())?;
    let (pool, keeper) = hotload::open(source, connect, options, metrics);
    let token = CancellationToken::new();
    let task = tokio::spawn(keeper.run(token.clone()));

    let workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::default()).collect();
    let done = AtomicBool::new(false);
    let load = try_join_all(workers.iter().map(|worker| worker.work(&pool, &ask, &done)));
    let rotations = async {
        for number in 1..=ROTATIONS {
            // Every worker has begun and ended a piece of work with the current DSN.
            wait_for("all workers to follow", async || {
                let follow = |worker: &Worker| worker.seen.load(Ordering::Relaxed) >= number;
                Ok(workers.iter().all(follow).then_some(()))
            })
            .await?;
            let idle = usize::from(number % 2 == 1);
            let dsn = rotated(&server, &logins[idle]).await?;
            volume.swap(dsn.expose_secret()).unwrap();
        }
        wait_for("all workers to follow", async || {
            let follow = |worker: &Worker| worker.seen.load(Ordering::Relaxed) > ROTATIONS;
            Ok(workers.iter().all(follow).then_some(()))
        })
        .await?;
        done.store(true, Ordering::Relaxed);
        Ok(())
    };
    let (queries, ()) = tokio::try_join!(load, rotations)?;
    assert!(
        queries.iter().all(|queries| *queries > ROTATIONS),
        "{queries:?}"
    );
    token.cancel();
    task.await?;
    server.stop().await
}

#[derive(Default)]
struct Worker {
    /// The generation that was current before its last question.
    seen: AtomicU64,
}

impl Worker {
    /// Asks until all is done; the first failure ends the test. Returns the number of questions.
    async fn work<C: Connect>(
        &self,
        pool: &Pool<C>,
        ask: &impl AsyncFn(&mut C::Connection) -> Result<()>,
        done: &AtomicBool,
    ) -> Result<u64> {
        let mut queries = 0;
        while !done.load(Ordering::Relaxed) {
            let generation = pool.generation();
            pool.run(ask).await?;
            queries += 1;
            self.seen.store(generation.unwrap_or(0), Ordering::Relaxed);
        }
        Ok(queries)
    }
}

/// Waits until nobody uses `login`, and gives it another password.
async fn rotated(server: &PostgresServer, login: &Dsn) -> Result<SecretString> {
    let superuser = server.superuser().url();
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        login.login()
    );
    wait_for("the previous login to be unused", async || {
        let count = query_one(&superuser, &sessions).await?;
        anyhow::ensure!(count == "0", "{count} sessions");
        Ok(Some(()))
    })
    .await?;
    let password = names::random(24);
    let change = format!("ALTER ROLE {} PASSWORD '{password}'", quote(login.login()));
    execute(&superuser, &change).await?;
    Ok(server
        .dsn(login.login(), SecretString::from(password))
        .url())
}
