//! Programs in other languages that work until their standard input ends, and print a line of JSON
//! with their totals again and again.

use std::process::Stdio;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

/// Runs `command` with one argument more, and calls `note` with the totals of each line; closes its
/// input when all has `ended`.
pub async fn work<T: DeserializeOwned>(
    command: std::process::Command,
    argument: &str,
    note: impl Fn(T),
    ended: watch::Receiver<bool>,
) -> Result<()> {
    let mut child = Command::from(command)
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().context("the client has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let reading = async {
        while let Some(line) = lines.next_line().await? {
            note(serde_json::from_str(&line).context(line)?);
        }
        let is_asked = *ended.borrow();
        anyhow::ensure!(is_asked, "the client ended by itself");
        Ok(())
    };
    let mut end = ended.clone();
    let ending = async {
        let _ = end.wait_for(|is_ended| *is_ended).await;
        drop(stdin);
        Ok(())
    };
    tokio::try_join!(reading, ending)?;
    let status = child.wait().await?;
    anyhow::ensure!(status.success(), "the client failed: {status}");
    Ok(())
}
