//! Asks a database once a second who it is, through every rotation:
//! `cargo run --example sqlx -- fsnotify://postgres/etc/connection/uri_dsn.txt`
#![expect(clippy::print_stdout, reason = "this is what the example is for")]

mod connect;

use std::time::Duration;

use hotload::{Metrics, Options, Source};
use sqlx::Row;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_default();
    let source = Source::parse(&url, &["postgres"])?;
    let metrics = Metrics::new(&prometheus::Registry::new())?;
    let (pool, keeper) = hotload::open(source, connect::Sqlx, Options::default(), metrics);

    let token = CancellationToken::new();
    let task = tokio::spawn(keeper.run(token.clone()));
    let ask = async {
        loop {
            let login: String = pool
                .run(async |connection| {
                    let row = sqlx::query("SELECT session_user::text")
                        .fetch_one(connection)
                        .await?;
                    anyhow::Ok(row.try_get(0)?)
                })
                .await?;
            println!("I am {login}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let outcome = tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        outcome = ask => outcome,
    };
    token.cancel();
    task.await?;
    outcome
}
