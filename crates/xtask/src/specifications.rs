//! `cargo xtask specifications`: the published specifications of MongoDB's drivers, as pymongo
//! tests them, at a server and through dbproxy, side by side. What ends in another way must be
//! one of the differences listed here.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use testkit::assets::specifications::runner;

use place::{LOGIN, PASSWORD, Place};

const SUITES: [&str; 22] = [
    "bulk",
    "change_stream",
    "client_bulk_write",
    "collation",
    "collection_management",
    "command_monitoring",
    "crud_unified",
    "cursor",
    "gridfs_spec",
    "handshake_unified",
    "heartbeat_monitoring",
    "read_write_concern_spec",
    "retryable_reads",
    "retryable_reads_unified",
    "retryable_writes",
    "retryable_writes_unified",
    "run_command",
    "session",
    "sessions_unified",
    "streaming_protocol",
    "transactions",
    "transactions_unified",
];

/// Suites at the same time: they mostly wait.
const LANES: usize = 3;

/// Parts of names of tests that end in another way through the proxy, and why.
const EXPLAINED: [(&str, &str); 2] = [
    (
        "succeeds_after_retryable_handshake_",
        "they let the server fail at saslContinue, which the proxy answers itself",
    ),
    (
        "TestBulkAuthorization",
        "they log in as others than the claim's logins",
    ),
];

/// How each test ended.
type Outcomes = BTreeMap<String, String>;

/// A test's name, and how it ended without the proxy and with it.
type Difference = (String, [Option<String>; 2]);

pub(crate) async fn run() -> Result<()> {
    tokio::task::spawn_blocking(|| -> Result<()> {
        place::build()?;
        runner().map(drop)
    })
    .await??;
    let compared: Vec<_> = futures::stream::iter(SUITES)
        .map(|suite| async move {
            let file = format!("test/test_{suite}.py");
            let (outcomes, differences) = compare(vec![file]).await.context(suite)?;
            println!("{suite}: {}", summary(&outcomes));
            Ok::<_, anyhow::Error>(differences)
        })
        .buffer_unordered(LANES)
        .try_collect()
        .await?;
    judge(compared.into_iter().flatten().collect()).await
}

/// Prints the differences, and fails if one of them is not explained.
async fn judge(differences: Vec<Difference>) -> Result<()> {
    let mut unexplained = differences;
    for (part, reason) in EXPLAINED {
        let before = unexplained.len();
        unexplained.retain(|(name, _)| !name.contains(part));
        let explained = before - unexplained.len();
        println!("{explained} end in another way: {reason}");
        ensure!(explained > 0, "no test of {part} ends in another way");
    }
    if unexplained.is_empty() {
        return Ok(());
    }
    // Some depend on timing; once more, and alone.
    let names: BTreeSet<_> = unexplained.into_iter().map(|(name, _)| name).collect();
    let (_, unexplained) = compare(names.into_iter().collect()).await?;
    for (name, [direct, proxied]) in &unexplained {
        println!("{name}: direct {direct:?}, proxied {proxied:?}");
    }
    ensure!(
        unexplained.is_empty(),
        "these differences are not explained"
    );
    Ok(())
}

/// Runs `tests` both ways, each on a server of its own.
async fn compare(tests: Vec<String>) -> Result<(Outcomes, Vec<Difference>)> {
    let (direct, proxied) = tokio::try_join!(Place::direct(), Place::proxied())?;
    let ends = [direct.port, proxied.port].map(|port| outcomes(port, tests.clone()));
    let [one, other] = ends;
    let (one, other) = tokio::try_join!(one, other)?;
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let ends = |name: &String| [one.get(name).cloned(), other.get(name).cloned()];
    let differences = names.into_iter().map(|name| (name.clone(), ends(name)));
    let differences = differences.filter(|(_, [direct, proxied])| direct != proxied);
    let differences = differences.collect();
    Ok((one, differences))
}

async fn outcomes(port: u16, tests: Vec<String>) -> Result<Outcomes> {
    let text = tokio::task::spawn_blocking(move || -> Result<String> {
        let mut command: Command = runner()?;
        command.args(tests).stdin(Stdio::null());
        command.env("DB_IP", "127.0.0.1");
        command.env("DB_PORT", port.to_string());
        command.env("DB_USER", LOGIN).env("DB_PASSWORD", PASSWORD);
        // pytest says much on the way.
        let output = command.stderr(Stdio::null()).output()?;
        Ok(String::from_utf8(output.stdout)?)
    });
    let outcomes: Outcomes =
        serde_json::from_str(&text.await??).context("the tests did not run")?;
    ensure!(!outcomes.is_empty(), "there are no such tests");
    Ok(outcomes)
}

fn summary(outcomes: &Outcomes) -> String {
    let count = |wanted: &str| outcomes.values().filter(|end| *end == wanted).count();
    let (passed, failed) = (count("passed"), count("failed"));
    format!(
        "{passed} pass at the server, {failed} fail, {} don't apply",
        count("skipped")
    )
}
