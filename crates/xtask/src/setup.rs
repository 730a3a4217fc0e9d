//! `cargo xtask setup`: everything that tests run is in place afterwards, without network from then
//! on.

use anyhow::Result;

pub(crate) async fn run() -> Result<()> {
    tokio::task::spawn_blocking(testkit::assets::prepare_all).await?
}
