//! The shipped dbproxy as in a pod: its own process, with the image's PgBouncer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use secrecy::ExposeSecret;
use testkit::assets::{cargo, pgbouncer, workspace};
use testkit::postgres::Dsn;
use testkit::process::{Process, ProcessBuilder, RunAs, Workdir, with_free_ports};
use testkit::volume::Volume;
use testkit::{http, wait};

use super::super::say;

#[derive(Clone, Copy)]
pub(super) enum Mode {
    Transaction,
    Session,
}

impl Mode {
    /// The mode's name, and connections to the server: the default, or enough for every client.
    fn settings(self) -> [&'static str; 2] {
        match self {
            Self::Transaction => ["transaction", "20"],
            Self::Session => ["session", "64"],
        }
    }
}

/// In MiB.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) dbproxy: f64,
    pub(super) pgbouncer: f64,
}

pub(super) struct Place {
    process: Process,
    port: u16,
    run: PathBuf,
    _volume: Volume,
}

impl Place {
    /// Serves clients when this returns.
    pub(super) async fn start(login: &Dsn, mode: Mode) -> Result<Self> {
        let program = pgbouncer::program()?;
        let account = RunAs::unprivileged()?;
        let [mode, pool_size] = mode.settings();
        let (place, health) = with_free_ports(async |[port, health_port]: [u16; 2]| {
            let workdir = Workdir::new("dbproxy")?;
            let volume = Volume::at(workdir.join("secret"))?;
            volume.swap(login.url().expose_secret())?;
            let run = workdir.join("run");
            std::fs::create_dir(&run)?;
            if let Some(account) = account {
                account.own(&run)?;
            }
            let health = format!("127.0.0.1:{health_port}");
            let process = ProcessBuilder::new("dbproxy", binary(&workdir)?)
                .arg("-pbc")
                .arg(run.join("pgbouncer.ini"))
                .env("DBPROXY_CREDENTIAL", volume.file())
                .env("DBPROXY_PORT", port.to_string())
                .env("DBPROXY_HEALTH_PORT", health_port.to_string())
                .env("DBPROXY_PGBOUNCER", &program)
                .env("DBPROXY_POOL_MODE", mode)
                .env("DBPROXY_POOL_SIZE", pool_size)
                .run_as(account)
                .start(&workdir, async || http::is_ok(&health, "/healthz").await)
                .await?;
            let place = Self {
                process,
                port,
                run,
                _volume: volume,
            };
            Ok((place, health))
        })
        .await?;
        wait::wait_for("dbproxy to be ready", async || {
            http::get(&health, "/readyz").await?;
            Ok(Some(()))
        })
        .await?;
        Ok(place)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn memory(&self) -> Result<Memory> {
        let pid = std::fs::read_to_string(self.run.join("pgbouncer.pid"))?;
        Ok(Memory {
            dbproxy: proportional(&self.process.pid().to_string())?,
            pgbouncer: proportional(&pid)?,
        })
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
