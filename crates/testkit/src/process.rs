//! Child processes: described by a builder, started until ready, stopped for certain.
//!
//! A process gets its own group, writes its output to a file in its work directory, and carries a
//! parent-death signal, so that neither a panic nor Ctrl-C nor SIGKILL of the tests leaves it
//! behind. `cargo xtask up` starts them as [`Lifetime::Detached`] and then forgets them.
//! It knows nothing of what it runs: ports, readiness and flags belong to the callers.

mod builder;
mod ports;
mod run_as;
mod spawner;
mod workdir;

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

pub(crate) use builder::last_lines;
pub use builder::{Lifetime, ProcessBuilder};
pub use ports::{free_port, with_free_ports};
pub use run_as::RunAs;
pub use workdir::{Workdir, write_private};

/// How often exit and readiness are looked at.
pub const POLL: Duration = Duration::from_millis(10);

/// How long [`Process::stop`] waits for the process to end by itself, unless told otherwise.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// A child process that has been ready once.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Child>,
    log: PathBuf,
    stop_signal: Signal,
    stop_deadline: Duration,
    /// Held so that the directory outlives the process.
    _workdir: Arc<Workdir>,
}

impl Process {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// The file that holds the process's standard output and error.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    pub fn is_running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// Asks the process to end, waits, and kills its group if it does not.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.signal(self.stop_signal)?;
        if let Ok(status) = self.exited_within(self.stop_deadline).await {
            return Ok(status);
        }
        tracing::warn!(
            process = self.name,
            "still running after the stop signal, killing it"
        );
        self.kill().await
    }

    /// Ends the process at once with SIGKILL, as a crash would.
    pub async fn kill(&self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.exited_within(STOP_DEADLINE).await
    }

    /// Freezes the process with SIGSTOP; its sockets stay open and silent.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Waits until the process has ended by itself.
    pub async fn exited_within(&self, deadline: Duration) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child().try_wait().context("cannot wait for a child")? {
                return Ok(status);
            }
            anyhow::ensure!(
                started.elapsed() < deadline,
                "{} is still running",
                self.name
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Resident memory in bytes, from `/proc`.
    pub fn rss_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .with_context(|| format!("{path} has no VmRSS"))?;
        Ok(kib * 1024)
    }

    /// Asks the process to read its configuration again.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::SIGHUP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        kill(self.pid, signal).with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        // Nothing can be awaited here; whoever wants an orderly end calls `stop` first.
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = self.child().wait();
    }
}
