//! Asks a database once a second who it is, through every rotation:
//! `cargo run --example tokio_postgres -- fsnotify://postgres/etc/connection/dsn.txt`
#![expect(clippy::print_stdout, reason = "this is what the example is for")]

mod connect;

use std::time::Duration;

use hotload::{Metrics, Options, Source};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_default();
    let source = Source::parse(&url, &["postgres"])?;
    let metrics = Metrics::new(&prometheus::Registry::new())?;
    let (pool, keeper) = hotload::open(source, connect::TokioPostgres, Options::default(), metrics);

    let token = CancellationToken::new();
    let task = tokio::spawn(keeper.run(token.clone()));
    let ask = async {
        loop {
            let client = pool.get().await?;
            let row = client.query_one("SELECT session_user::text", &[]).await?;
            println!("I am {}", row.try_get::<_, String>(0)?);
            client.give_back();
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
