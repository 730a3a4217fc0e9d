//! The polite ways to end a command.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, or for the signal of whoever started us. Dropping what was started ends it.
pub(crate) async fn interrupted() -> Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome.context("cannot listen for Ctrl-C"),
        _ = terminated.recv() => Ok(()),
    }
}
