//! The shipped dbproxy as in a pod: its own process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use secrecy::{ExposeSecret, SecretString};
use testkit::assets::{cargo, workspace};
use testkit::process::{Process, ProcessBuilder, RunAs, Workdir, with_free_ports};
use testkit::volume::Volume;
use testkit::{http, wait};

use super::say;

pub(super) struct Sidecar {
    process: Process,
    port: u16,
    health: String,
    run: PathBuf,
    volume: Volume,
}

impl Sidecar {
    /// Serves clients when this returns.
    pub(super) async fn start(
        credential: &SecretString,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let account = RunAs::unprivileged()?;
        let sidecar = with_free_ports(async |[port, health_port]: [u16; 2]| {
            let workdir = Workdir::new("dbproxy")?;
            let volume = Volume::at(workdir.join("secret"))?;
            volume.swap(credential.expose_secret())?;
            let run = workdir.join("run");
            std::fs::create_dir(&run)?;
            if let Some(account) = account {
                account.own(&run)?;
            }
            let health = format!("127.0.0.1:{health_port}");
            let mut builder = ProcessBuilder::new("dbproxy", binary(&workdir)?)
                .arg("-pbc")
                .arg(run.join("pgbouncer.ini"))
                .env("DBPROXY_CREDENTIAL", volume.file())
                .env("DBPROXY_PORT", port.to_string())
                .env("DBPROXY_HEALTH_PORT", health_port.to_string())
                .run_as(account);
            for (name, value) in settings {
                builder = builder.env(name, value);
            }
            let started = async || http::is_ok(&health, "/healthz").await;
            let process = builder.start(&workdir, started).await?;
            Ok(Self {
                process,
                port,
                health,
                run,
                volume,
            })
        })
        .await?;
        wait::wait_for("dbproxy to be ready", async || {
            sidecar.get("/readyz").await?;
            Ok(Some(()))
        })
        .await?;
        Ok(sidecar)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn get(&self, path: &str) -> Result<String> {
        http::get(&self.health, path).await
    }

    /// Brings another credential.
    pub(super) fn publish(&self, credential: &SecretString) -> Result<()> {
        self.volume.swap(credential.expose_secret())
    }

    /// Of dbproxy itself, in MiB.
    pub(super) fn memory(&self) -> Result<f64> {
        proportional(&self.process.pid().to_string())
    }

    /// Of its PgBouncer, in MiB.
    pub(super) fn memory_of_pgbouncer(&self) -> Result<f64> {
        proportional(&std::fs::read_to_string(self.run.join("pgbouncer.pid"))?)
    }

    pub(super) async fn stop(&self) -> Result<()> {
        let status = self.process.stop().await?;
        ensure!(status.success(), "dbproxy ended with {status}");
        Ok(())
    }
}

/// What is measured is what is shipped: the release build.
pub(super) fn build() -> Result<()> {
    say("building dbproxy with optimisation (minutes, when anything changed)");
    let package = ["--package", "db-controller-dbproxy"];
    let mut build = cargo();
    build.args(["build", "--quiet", "--release"]).args(package);
    ensure!(build.status()?.success(), "dbproxy can't be built");
    Ok(())
}

/// A copy where the account gets to.
fn binary(workdir: &Arc<Workdir>) -> Result<PathBuf> {
    let copy = workdir.join("dbproxy");
    std::fs::copy(workspace().join("target/release/dbproxy"), &copy)?;
    Ok(copy)
}

/// Proportional set size, MiB: pages that several processes share count in parts.
fn proportional(pid: &str) -> Result<f64> {
    let path = Path::new("/proc").join(pid).join("smaps_rollup");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kib.context("no Pss")? / 1024.0)
}
