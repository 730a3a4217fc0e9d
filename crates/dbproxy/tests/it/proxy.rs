//! The program dbproxy, with the environment of the injected container.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use testkit::assets::pgbouncer;
use testkit::names;
use testkit::postgres::{Dsn, PostgresServer, execute, query_one, quote};
use testkit::process::{Process, ProcessBuilder, RunAs, Workdir, with_free_ports};
use testkit::wait::wait_for;

use testkit::volume::Volume;

pub(crate) struct Dbproxy {
    pub(crate) process: Process,
    pub(crate) volume: Volume,
    pub(crate) workdir: Arc<Workdir>,
    pub(crate) port: u16,
    health: String,
    builder: ProcessBuilderOf,
}

type ProcessBuilderOf = Box<dyn Fn() -> ProcessBuilder>;

impl Dbproxy {
    /// Puts `dsn` into its Secret, as the kubelet brings it.
    pub(crate) fn publish(&self, dsn: &SecretString) -> Result<()> {
        self.volume.swap(dsn.expose_secret())
    }

    /// Starts it with `dsn` in its Secret, or with none, and `env` besides the usual.
    pub(crate) async fn start(dsn: Option<&SecretString>, env: &[(&str, &str)]) -> Result<Self> {
        let program = pgbouncer::program()?;
        let account = RunAs::unprivileged()?;
        let env: Vec<(String, String)> = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        with_free_ports(async |[port, health_port]: [u16; 2]| {
            let workdir = Workdir::new("dbproxy")?;
            let volume = Volume::at(workdir.join("secret"))?;
            if let Some(dsn) = dsn {
                volume.swap(dsn.expose_secret())?;
            }
            let run = workdir.join("run");
            std::fs::create_dir(&run)?;
            if let Some(account) = account {
                account.own(&run)?;
            }
            let (program, env, file) = (program.clone(), env.clone(), volume.file());
            let builder: ProcessBuilderOf = Box::new(move || {
                let mut builder = ProcessBuilder::new("dbproxy", env!("CARGO_BIN_EXE_dbproxy"))
                    .arg("-pbc")
                    .arg(run.join("pgbouncer.ini"))
                    .env("DBPROXY_CREDENTIAL", &file)
                    .env("DBPROXY_PORT", port.to_string())
                    .env("DBPROXY_HEALTH_PORT", health_port.to_string())
                    .env("DBPROXY_PGBOUNCER", &program)
                    .run_as(account);
                for (name, value) in &env {
                    builder = builder.env(name, value);
                }
                builder
            });
            let health = format!("127.0.0.1:{health_port}");
            let process = builder()
                .start(&workdir, async || {
                    testkit::http::is_ok(&health, "/healthz").await
                })
                .await?;
            Ok(Self {
                process,
                volume,
                workdir,
                port,
                health,
                builder,
            })
        })
        .await
    }

    /// The same, and clients are served.
    pub(crate) async fn ready(dsn: &SecretString, env: &[(&str, &str)]) -> Result<Self> {
        let proxy = Self::start(Some(dsn), env).await?;
        proxy.becomes_ready().await?;
        Ok(proxy)
    }

    /// As the kubelet starts a container again, with what the last one left.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        let health = self.health.clone();
        let process = (self.builder)()
            .start(&self.workdir, async || {
                testkit::http::is_ok(&health, "/healthz").await
            })
            .await?;
        self.process = process;
        Ok(())
    }

    pub(crate) async fn is_ready(&self) -> bool {
        testkit::http::is_ok(&self.health, "/readyz").await
    }

    pub(crate) async fn becomes_ready(&self) -> Result<()> {
        let ready = async || {
            testkit::http::get(&self.health, "/readyz").await?;
            Ok(Some(()))
        };
        wait_for("dbproxy to be ready", ready).await
    }

    /// Waits until `/credential` says that the volume's version of this number is in use.
    pub(crate) async fn acknowledges(&self, generation: Option<u64>) -> Result<()> {
        let wanted = serde_json::json!({ "generation": generation }).to_string();
        wait_for(format!("dbproxy to answer {wanted}"), async || {
            let answer = testkit::http::get(&self.health, "/credential").await?;
            anyhow::ensure!(answer == wanted, "it says {answer}");
            Ok(Some(()))
        })
        .await
    }

    pub(crate) async fn metrics(&self) -> Result<String> {
        testkit::http::get(&self.health, "/metrics").await
    }

    pub(crate) async fn metric(&self, series: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let value = text.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then_some(value)
        });
        Ok(value.context("no such series")?.parse()?)
    }

    /// Waits until `series` has at least this value.
    pub(crate) async fn reaches(&self, series: &str, least: f64) -> Result<()> {
        wait_for(format!("{series} to reach {least}"), async || {
            let value = self.metric(series).await?;
            anyhow::ensure!(value >= least, "it is {value}");
            Ok(Some(()))
        })
        .await
    }

    /// A client that has no idea of the real names.
    pub(crate) fn client(&self) -> SecretString {
        let dsn = Dsn::new("127.0.0.1", self.port, "anybody", "anything".into());
        let dsn = dsn.database("anywhere").parameter("sslmode", "disable");
        dsn.url()
    }

    pub(crate) async fn ask(&self, question: &str) -> Result<String> {
        query_one(&self.client(), question).await
    }

    /// Waits until new clients are `login`.
    pub(crate) async fn serves(&self, login: &str) -> Result<()> {
        wait_for(format!("clients to be {login}"), async || {
            let who = self.ask("SELECT session_user").await?;
            anyhow::ensure!(who == login, "clients are {who}");
            Ok(Some(()))
        })
        .await
    }

    pub(crate) fn ini(&self) -> PathBuf {
        self.workdir.join("run/pgbouncer.ini")
    }

    pub(crate) fn pgbouncer_pid(&self) -> Result<i32> {
        let text = std::fs::read_to_string(self.workdir.join("run/pgbouncer.pid"))?;
        Ok(text.parse()?)
    }

    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.process.log_path())?)
    }
}

/// The two logins of a claim, as the controller rotates them.
pub(crate) struct Claim<'a> {
    server: &'a PostgresServer,
    logins: [String; 2],
    rotations: usize,
}

impl<'a> Claim<'a> {
    pub(crate) async fn new(server: &'a PostgresServer) -> Result<Self> {
        let logins = ["clerk_a", "clerk_b"].map(str::to_owned);
        for login in &logins {
            server.create_login(login, "").await?;
        }
        Ok(Self {
            server,
            logins,
            rotations: 0,
        })
    }

    /// Gives the idle login a new password, and returns what the Secret holds next.
    pub(crate) async fn rotate(&mut self) -> Result<Dsn> {
        let login = &self.logins[self.rotations % 2];
        self.rotations += 1;
        let password = names::random(24);
        let change = format!("ALTER ROLE {} PASSWORD '{password}'", quote(login));
        execute(&self.server.superuser().url(), &change).await?;
        Ok(self.server.dsn(login, SecretString::from(password)))
    }

    /// Waits until the server has no session of `login`.
    pub(crate) async fn is_left(&self, login: &str) -> Result<()> {
        let superuser = self.server.superuser().url();
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{login}'");
        wait_for(format!("no session of {login}"), async || {
            let count = query_one(&superuser, &count).await?;
            anyhow::ensure!(count == "0", "there are {count}");
            Ok(Some(()))
        })
        .await
    }
}

/// A DSN that the server refuses, and nothing else.
pub(crate) fn with_wrong_password(dsn: &Dsn) -> SecretString {
    let url = dsn.url();
    let right = dsn.password().expose_secret();
    url.expose_secret().replace(right, "wrong").into()
}
