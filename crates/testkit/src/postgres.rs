//! PostgreSQL servers of any supported version, each with its own data, logins and settings.
//!
//! Every connection must authenticate by SCRAM over TCP; there is no local socket. Passwords reach
//! the server as verifiers, so that `log_statement=all` shows none.

mod access;
mod builder;
mod dsn;
mod query;
mod template;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use secrecy::SecretString;

pub use access::{Admin, PostgresAccess, quote};
pub use builder::PostgresBuilder;
pub use dsn::Dsn;
pub use query::{connect, execute, query, query_one, run_in};

use crate::process::{Lifetime, Process, ProcessBuilder, RunAs, Workdir};

/// The superuser that initdb makes.
pub const SUPERUSER: &str = "postgres";

/// A running server. It derefs to its [`PostgresAccess`].
pub struct PostgresServer {
    access: PostgresAccess,
    process: Process,
    launch: Launch,
    workdir: Arc<Workdir>,
}

/// What is needed to start the same server again.
struct Launch {
    program: PathBuf,
    data: PathBuf,
    account: Option<RunAs>,
    lifetime: Lifetime,
}

impl PostgresServer {
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    pub fn access(&self) -> &PostgresAccess {
        &self.access
    }

    /// The server's log, with all statements if that was asked for.
    pub fn log_path(&self) -> &Path {
        self.process.log_path()
    }

    pub fn log(&self) -> Result<String> {
        let path = self.log_path();
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The postmaster, for freezing and killing. Freezing it stops new logins only.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends the server in its fast mode: sessions are cut, the data is sound.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop().await.map(drop)
    }

    /// Starts a stopped server again, with the same port and data.
    pub async fn start_again(&mut self) -> Result<()> {
        anyhow::ensure!(!self.process.is_running(), "PostgreSQL is still running");
        let superuser = self.access.superuser();
        self.process = self
            .launch
            .start(&self.workdir, self.access.port(), &superuser)
            .await?;
        Ok(())
    }

    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }
}

impl Launch {
    /// Ready means that `login` gets in.
    async fn start(&self, workdir: &Arc<Workdir>, port: u16, login: &Dsn) -> Result<Process> {
        let Self {
            program,
            data,
            account,
            lifetime,
        } = self;
        let dsn: SecretString = login.clone().port(port).url();
        ProcessBuilder::new("postgres", program)
            .arg("-D")
            .arg(data)
            .arg("-p")
            .arg(port.to_string())
            .run_as(*account)
            .lifetime(*lifetime)
            .stop_signal(Signal::SIGINT)
            .start(workdir, async || connect(&dsn).await.is_ok())
            .await
    }
}

impl std::ops::Deref for PostgresServer {
    type Target = PostgresAccess;

    fn deref(&self) -> &PostgresAccess {
        &self.access
    }
}
