//! Waiting for a value, with one deadline for everything.
//!
//! Tests wait for states, never for durations: how long something takes is the benchmarks' business.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Generous on purpose: it bounds a hang, it measures nothing.
pub const DEADLINE: Duration = Duration::from_mins(2);

const POLL: Duration = Duration::from_millis(20);

/// Polls `condition` until it yields a value.
/// An error means "not yet, because": the last one is shown when the deadline passes.
pub async fn wait_for<T>(
    what: impl Display,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    let mut last_seen = None;
    while started.elapsed() < DEADLINE {
        match tokio::time::timeout(DEADLINE, condition()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last_seen = None,
            Ok(Err(err)) => last_seen = Some(err),
            Err(_) => last_seen = Some(anyhow::anyhow!("the condition itself did not return")),
        }
        tokio::time::sleep(POLL).await;
    }
    match last_seen {
        Some(err) => Err(err.context(format!("waited {DEADLINE:?} in vain for {what}; last seen"))),
        None => anyhow::bail!("waited {DEADLINE:?} in vain for {what}"),
    }
}
