//! The db-controller program.

use controller::hook::NoHook;
use db_controller::Args;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Nothing is installed before this line, so it can't fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    db_controller::run(Args::from_env(), Box::new(NoHook)).await
}
