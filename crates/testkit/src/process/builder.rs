//! What to run, and the start that ends with a ready process or with its last words.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{POLL, Process, RunAs, STOP_DEADLINE, Workdir, spawner};
use crate::wait::DEADLINE;

/// Lines of a failed process's log that its error shows.
const LAST_LINES: usize = 15;

/// Whether a process ends with ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lifetime {
    #[default]
    WithParent,
    /// Survives us if its [`Process`] is given to [`std::mem::forget`]: dropping it kills it.
    Detached,
}

/// Describes a process. Nothing runs before [`start`](Self::start).
#[derive(Debug)]
pub struct ProcessBuilder {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    run_as: Option<RunAs>,
    stop_signal: Signal,
    stop_deadline: Duration,
    lifetime: Lifetime,
}

impl ProcessBuilder {
    /// `name` also names the log file.
    pub fn new(name: &str, program: impl AsRef<Path>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            run_as: None,
            stop_signal: Signal::SIGTERM,
            stop_deadline: STOP_DEADLINE,
            lifetime: Lifetime::default(),
        }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn run_as(mut self, account: Option<RunAs>) -> Self {
        self.run_as = account;
        self
    }

    #[must_use]
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// How long [`Process::stop`] waits before it kills.
    #[must_use]
    pub fn stop_deadline(mut self, deadline: Duration) -> Self {
        self.stop_deadline = deadline;
        self
    }

    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Starts the process in `workdir` and waits until `ready` says so.
    /// Errors: the process ended first, or never became ready; the directory is kept then.
    pub async fn start(
        self,
        workdir: &Arc<Workdir>,
        mut ready: impl AsyncFnMut() -> bool,
    ) -> Result<Process> {
        let process = self.spawn(workdir)?;
        let started = Instant::now();
        let problem = loop {
            if !process.is_running() {
                break "ended before it was ready";
            }
            if ready().await {
                return Ok(process);
            }
            if started.elapsed() > DEADLINE {
                break "did not become ready in time";
            }
            tokio::time::sleep(POLL).await;
        };
        workdir.keep();
        anyhow::bail!(
            "{} {problem}; its directory is {}, its last words:\n{}",
            process.name,
            workdir.path().display(),
            last_lines(&fs::read_to_string(&process.log).unwrap_or_default()),
        )
    }

    fn spawn(self, workdir: &Arc<Workdir>) -> Result<Process> {
        let log = workdir.join(&format!("{}.log", self.name));
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = self.command();
        command
            .args(&self.args)
            .envs(self.env)
            .current_dir(workdir.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = spawner::spawn(command)
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(Process {
            pid: Pid::from_raw(child.id().cast_signed()),
            name: self.name,
            child: Mutex::new(child),
            log,
            stop_signal: self.stop_signal,
            stop_deadline: self.stop_deadline,
            _workdir: Arc::clone(workdir),
        })
    }

    /// Every wrapper replaces itself with the next program, so the pid is that of the server.
    fn command(&self) -> Command {
        let mut command = match self.lifetime {
            Lifetime::WithParent => {
                let mut command = Command::new("setpriv");
                command.arg("--pdeathsig=KILL").process_group(0);
                command
            }
            Lifetime::Detached => {
                let mut command = Command::new("setsid");
                command.arg("setpriv");
                command
            }
        };
        if let Some(account) = self.run_as {
            command.args(account.setpriv_args());
        }
        command.arg("--").arg(&self.program);
        command
    }
}

/// The end of a log, for error messages.
pub(crate) fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let skipped = lines.len().saturating_sub(LAST_LINES);
    lines
        .into_iter()
        .skip(skipped)
        .collect::<Vec<_>>()
        .join("\n")
}
