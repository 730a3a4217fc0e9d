//! The user guide lists each metric of the sidecar, and no other.

use std::collections::BTreeSet;

use anyhow::Result;
use testkit::assets::workspace;

use crate::proxy::Dbproxy;

const PREFIXES: [&str; 2] = ["dbproxy_", "mongo_proxy_"];

/// Words that begin like a metric of ours.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    words.filter(is_metric).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_guide_lists_every_metric() -> Result<()> {
    let mut shown = BTreeSet::new();
    for engine in ["postgres", "mongodb"] {
        let proxy = Dbproxy::start(None, &[("DBPROXY_ENGINE", engine)]).await?;
        shown.extend(metrics(&proxy.metrics().await?));
        assert!(proxy.process.stop().await?.success());
    }
    let guide = std::fs::read_to_string(workspace().join("docs/user-guide.md"))?;
    // Those of the pool are there once there is one.
    let mut listed = metrics(&guide);
    listed.retain(|name| shown.contains(name) || !name.starts_with("dbproxy_pool_"));
    assert_eq!(shown, listed);
    Ok(())
}
