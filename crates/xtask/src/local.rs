//! What `up` leaves for `down`: a folder and the processes that run there.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use testkit::assets;

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn folder() -> PathBuf {
    assets::workspace().join("target/local")
}

/// Data of the database, where its account can reach it.
pub(crate) fn postgres_folder() -> PathBuf {
    assets::reachable(&folder()).join("postgres")
}

/// A process that outlives the command that started it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Detached {
    name: String,
    pid: i32,
    /// Clock ticks from boot to its start: another process with this pid has another value.
    started: u64,
}

impl Detached {
    pub(crate) fn new(name: &str, pid: u32) -> Result<Self> {
        let pid = pid.cast_signed();
        let started = start_of(pid).with_context(|| format!("{name} is not running"))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            started,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_running(&self) -> bool {
        start_of(self.pid) == Some(self.started)
    }

    /// Asks it to end, waits, kills it.
    pub(crate) async fn end(&self) -> Result<()> {
        // PostgreSQL takes SIGINT for a shutdown that does not wait for clients.
        let polite = if self.name == "postgres" {
            Signal::SIGINT
        } else {
            Signal::SIGTERM
        };
        for signal in [polite, Signal::SIGKILL] {
            if self.is_running() {
                kill(Pid::from_raw(self.pid), signal)
                    .with_context(|| format!("cannot end {}", self.name))?;
            }
            let asked = Instant::now();
            while self.is_running() && asked.elapsed() < PATIENCE {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        anyhow::ensure!(
            !self.is_running(),
            "{} (pid {}) does not end",
            self.name,
            self.pid
        );
        Ok(())
    }
}

/// The processes that `up` noted, in the order in which they are to be ended.
pub(crate) fn noted() -> Result<Vec<Detached>> {
    let path = folder().join("pids.json");
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{}", path.display())),
        Err(_) => Ok(Vec::new()),
    }
}

pub(crate) fn note(processes: &[Detached]) -> Result<()> {
    let path = folder().join("pids.json");
    fs::write(&path, serde_json::to_string_pretty(processes)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The start time of a process; `None` for one that has ended, reaped or not.
fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain blanks; the state is the first field after it.
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    // Field 22 of proc(5).
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_and_start() {
        let mut own = Detached::new("own", std::process::id()).unwrap();
        assert!(own.is_running());
        own.started += 1;
        assert!(!own.is_running());
    }
}
