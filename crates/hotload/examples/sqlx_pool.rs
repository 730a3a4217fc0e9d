//! A pool of sqlx itself that follows the file, for programs that hand a `PgPool` to others:
//! `cargo run --example sqlx_pool -- /etc/connection/uri_dsn.txt`
//!
//! New connections use the new DSN at once. Older ones finish their work; idle, they are replaced
//! when they are next asked for.
#![expect(clippy::print_stdout, reason = "this is what the example is for")]

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hotload::Malformed;
use hotload::follow::{self, Watch, follow};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let (follower, mut watch) = follow(path, follow::Options::default(), parse);
    let token = CancellationToken::new();
    let task = tokio::spawn(follower.run(token.clone()));

    let first = watch.next().await?;
    let changed = Arc::new(Mutex::new(Instant::now()));
    let pool = pool(first.value.clone(), &changed);
    let ask = async {
        loop {
            let login: String = sqlx::query_scalar("SELECT session_user::text")
                .fetch_one(&pool)
                .await?;
            println!("I am {login}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let outcome = tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        () = renew(&pool, &mut watch, &changed) => Ok(()),
        outcome = ask => outcome,
    };
    token.cancel();
    task.await?;
    outcome
}

fn parse(dsn: &SecretString) -> Result<PgConnectOptions, Malformed> {
    PgConnectOptions::from_str(dsn.expose_secret().trim())
        .map_err(|_| Malformed("not a postgres:// URI"))
}

fn pool(options: PgConnectOptions, changed: &Arc<Mutex<Instant>>) -> PgPool {
    let changed = Arc::clone(changed);
    PgPoolOptions::new()
        .before_acquire(move |_connection, metadata| {
            let changed = *changed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_current = metadata.age < changed.elapsed();
            Box::pin(async move { Ok(is_current) })
        })
        .connect_lazy_with(options)
}

/// Ends when the file is no longer followed.
async fn renew(pool: &PgPool, watch: &mut Watch<PgConnectOptions>, changed: &Mutex<Instant>) {
    while let Ok(version) = watch.next().await {
        pool.set_connect_options(version.value.clone());
        *changed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}
