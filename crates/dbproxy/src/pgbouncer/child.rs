//! PgBouncer as a child process: started once there is a configuration, started again when it dies,
//! and drained at the end.
//!
//! Draining lets clients go on until they leave: they belong to the same pod, which stops at the same
//! time, and their last statements need a proxy. That takes no version's own shutdown command, which
//! differ: clients are counted, and at the deadline PgBouncer is told by SIGINT to take no further
//! work and to end after the transactions that are open, and then by SIGKILL.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Console;
use crate::metrics::Metrics;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Having run for so long, it is not what makes it die at once.
const STABLE: Duration = Duration::from_secs(30);
/// How often clients are counted while draining.
const COUNT: Duration = Duration::from_millis(100);
/// For transactions that are open at the deadline.
const LAST_GRACE: Duration = Duration::from_secs(3);

/// How PgBouncer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// No transaction was cut.
    Whole,
    Cut,
}

#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) program: PathBuf,
    pub(crate) ini: PathBuf,
    pub(crate) console: Console,
    /// The process, for the console.
    pub(crate) pid: watch::Sender<Option<Pid>>,
    pub(crate) drain: Duration,
    /// True once there is a configuration.
    pub(crate) wanted: watch::Receiver<bool>,
    pub(crate) metrics: Metrics,
}

impl Supervisor {
    /// Keeps PgBouncer running until `token` is cancelled, then drains it.
    pub(crate) async fn run(mut self, token: CancellationToken) -> Drained {
        end_left_behind(&self.pid_file(), &self.ini);
        let wanted = self.wanted.wait_for(|is_wanted| *is_wanted);
        if !matches!(token.run_until_cancelled(wanted).await, Some(Ok(_))) {
            return Drained::Whole;
        }
        let mut failures = 0;
        loop {
            let started = Instant::now();
            match self.start() {
                Ok(mut child) => {
                    self.pid.send_replace(pid_of(&child));
                    self.metrics.pgbouncer_runs(true);
                    match token.run_until_cancelled(child.wait()).await {
                        None => return self.drain(child).await,
                        Some(Ok(status)) => tracing::warn!(%status, "PgBouncer ended by itself"),
                        Some(Err(err)) => tracing::error!(error = %err, "PgBouncer is lost"),
                    }
                    self.pid.send_replace(None);
                    self.metrics.pgbouncer_runs(false);
                }
                Err(err) => {
                    let program = self.program.display();
                    tracing::error!(%program, error = %err, "PgBouncer can't be started");
                }
            }
            if started.elapsed() > STABLE {
                failures = 0;
            }
            let pause = tokio::time::sleep(pause(failures));
            if token.run_until_cancelled(pause).await.is_none() {
                return Drained::Cut;
            }
            failures += 1;
            self.metrics.pgbouncer_restarted();
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        // Its log goes where ours does.
        command
            .arg(&self.ini)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let child = command.spawn()?;
        if let Some(pid) = pid_of(&child) {
            // Only for the next dbproxy, if this one is killed.
            let _ = std::fs::write(self.pid_file(), pid.to_string());
            tracing::info!(%pid, "PgBouncer started");
        }
        Ok(child)
    }

    async fn drain(&self, mut child: Child) -> Drained {
        let left = tokio::time::timeout(self.drain, self.all_left());
        tokio::select! {
            biased;
            _ = child.wait() => {
                tracing::warn!("PgBouncer ended before its clients did");
                return Drained::Cut;
            }
            left = left => if left.is_err() {
                tracing::warn!("clients are still connected at the deadline");
            }
        }
        if let Some(pid) = pid_of(&child) {
            let _ = kill(pid, Signal::SIGINT);
        }
        if tokio::time::timeout(LAST_GRACE, child.wait()).await.is_ok() {
            tracing::info!("PgBouncer stopped");
            return Drained::Whole;
        }
        tracing::error!("transactions were cut, as they did not end in time");
        // Waits for it, too. That fails only if it is gone.
        let _ = child.kill().await;
        Drained::Cut
    }

    async fn all_left(&self) {
        // One that does not answer has clients, for all we know.
        while !matches!(self.console.clients().await, Ok(0)) {
            tokio::time::sleep(COUNT).await;
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.ini.with_file_name("pgbouncer.pid")
    }
}

/// None once it was waited for.
fn pid_of(child: &Child) -> Option<Pid> {
    child.id().map(|pid| Pid::from_raw(pid.cast_signed()))
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(LONGEST_PAUSE)
}

/// Ends a PgBouncer whose dbproxy was killed, where that did not take it along: it has the port.
fn end_left_behind(pid_file: &Path, ini: &Path) {
    let Ok(text) = std::fs::read_to_string(pid_file) else {
        return;
    };
    let Ok(pid) = text.parse::<i32>() else { return };
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let ini = ini.as_os_str().as_encoded_bytes();
    // Another process may have the number by now.
    if pid > 1 && command.split(|byte| *byte == 0).any(|word| word == ini) {
        tracing::warn!(pid, "ending a PgBouncer that was left behind");
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
