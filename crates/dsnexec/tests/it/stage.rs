//! A running dsnexec, the folder of its files, and what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use testkit::http;
use testkit::process::{Process, ProcessBuilder, Workdir, write_private};
use testkit::wait::{DEADLINE, wait_for};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dsnexec");

/// The files of one test; `/files/` in a config stands for their folder.
pub(crate) struct Stage {
    workdir: Arc<Workdir>,
}

pub(crate) struct Program {
    pub(crate) process: Process,
    address: String,
}

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        let workdir = Workdir::new("dsnexec")?;
        Ok(Self { workdir })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.workdir.join(name)
    }

    /// Replaces a file as a whole.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let unfinished = self.path("unfinished");
        write_private(&unfinished, text)?;
        std::fs::rename(unfinished, self.path(name))?;
        Ok(())
    }

    pub(crate) fn write_dsn(&self, name: &str, dsn: &SecretString) -> Result<()> {
        self.write(name, dsn.expose_secret())
    }

    /// Starts the program and waits until it serves its health.
    pub(crate) async fn start(&self, config: &str, flags: &[&str]) -> Result<Program> {
        let port = testkit::process::free_port()?;
        let address = format!("127.0.0.1:{port}");
        let process = self.builder(config, flags)?;
        let process = process
            .env("DSNEXEC_HEALTH_PORT", port.to_string())
            .start(&self.workdir, async || {
                http::is_ok(&address, "/healthz").await
            })
            .await?;
        Ok(Program { process, address })
    }

    /// Starts it without waiting, and waits for its end. Returns whether it ended well, and its log.
    pub(crate) async fn run(&self, config: &str, flags: &[&str]) -> Result<(bool, String)> {
        let process = self.builder(config, flags)?;
        let process = process
            .env("DSNEXEC_HEALTH_PORT", "0")
            .start(&self.workdir, async || true)
            .await;
        // One that ends at once was never ready; its last words are in the error.
        let process = match process {
            Ok(process) => process,
            Err(err) => return Ok((false, format!("{err:#}"))),
        };
        let status = process.exited_within(DEADLINE).await?;
        let log = std::fs::read_to_string(process.log_path())?;
        Ok((status.success(), log))
    }

    fn builder(&self, config: &str, flags: &[&str]) -> Result<ProcessBuilder> {
        let folder = format!("{}/", self.workdir.path().display());
        self.write("config.yaml", &config.replace("/files/", &folder))?;
        Ok(ProcessBuilder::new("dsnexec", Path::new(PROGRAM))
            .args(["run", "--config-file"])
            .arg(self.path("config.yaml"))
            .args(flags.iter().copied())
            .env("DSNEXEC_LOG_LEVEL", "trace"))
    }
}

impl Program {
    /// Waits until every config has run with its sources as they are.
    pub(crate) async fn ready(&self) -> Result<()> {
        wait_for("dsnexec to be ready", async || {
            http::get(&self.address, "/readyz").await.map(Some)
        })
        .await
        .map(drop)
    }

    /// Waits until `/readyz` says `problem`.
    pub(crate) async fn unready(&self, problem: &str) -> Result<()> {
        wait_for(format!("dsnexec to say {problem:?}"), async || {
            let answer = http::get(&self.address, "/readyz").await;
            let err = answer.err().context("it is ready")?;
            let text = format!("{err:#}");
            anyhow::ensure!(text.contains(problem), "{text}");
            Ok(Some(()))
        })
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        http::get(&self.address, path).await
    }

    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.process.log_path())?)
    }

    /// Stops it as the kubelet does.
    pub(crate) async fn stop(&self) -> Result<()> {
        let status = self.process.stop().await?;
        anyhow::ensure!(status.success(), "{status}: {}", self.log()?);
        Ok(())
    }
}
