//! PgBouncer from outside: as one of its clients, by what its console shows, and by signals.
//!
//! With `auth_type = any` everybody inside the pod may look at the console, and so may we, without a
//! password. Nobody is its admin, though: an admin could make PgBouncer write files or end. So a
//! reload is a signal, which is not answered; whoever wants one asks what became of it.

use std::net::IpAddr;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{ConnectOptions, Connection, Row, ValueRef};
use tokio::sync::watch;
use tokio::time::timeout;

use super::held::Held;

const TIMEOUT: Duration = Duration::from_secs(3);

/// The database name of PgBouncer's console.
const CONSOLE: &str = "pgbouncer";

/// The database name under which dbproxy itself is a client: a pool of its own, so that clients
/// that take all of theirs don't look like a server that is away.
const PROBE: &str = "dbproxy";

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("PgBouncer did not let dbproxy in")]
    Connect(#[source] sqlx::Error),
    #[error("PgBouncer did not answer {0}")]
    Ask(&'static str, #[source] sqlx::Error),
    #[error("PgBouncer did not answer within {TIMEOUT:?}")]
    TimedOut,
    #[error("PgBouncer is not running")]
    NotRunning,
    #[error("PgBouncer can't be signalled")]
    Signal(#[source] nix::Error),
    #[error("PgBouncer's answer lacks {0}")]
    Incomplete(&'static str),
}

/// Where PgBouncer listens. Connects anew for each question.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// Its process, while there is one.
    pub(crate) pid: watch::Receiver<Option<Pid>>,
}

/// Where clients are led now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) database: String,
}

/// Sums over all pools: their names are chosen by clients, so they are no labels.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) clients_active: i64,
    pub(crate) clients_waiting: i64,
    pub(crate) servers_active: i64,
    pub(crate) servers_idle: i64,
    pub(crate) servers_used: i64,
    pub(crate) servers_login: i64,
    pub(crate) longest_wait_seconds: i64,
    pub(crate) transactions: u64,
    pub(crate) queries: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) wait_microseconds: u64,
}

impl Console {
    /// Makes PgBouncer read its files again, soon. Connections to servers that are led elsewhere then
    /// end when their transaction does; what is returned is held until that has happened.
    pub(crate) async fn reload(&self) -> Result<Held, Error> {
        // Asked first in any case: the signal would end a process that has just started.
        let held = Held::take(self, self.pools().await?).await;
        let pid = (*self.pid.borrow()).ok_or(Error::NotRunning)?;
        kill(pid, Signal::SIGHUP).map_err(Error::Signal)?;
        Ok(held)
    }

    /// The clients' pools that can have more than one connection to the server.
    async fn pools(&self) -> Result<Vec<String>, Error> {
        let rows = self.ask(CONSOLE, "SHOW DATABASES").await?;
        let names = rows.iter().filter_map(|row| {
            let name = text(row, "name")?;
            let is_ours = matches!(&*name, PROBE | CONSOLE | "*");
            (!is_ours && number(row, "pool_size") > 1).then_some(name)
        });
        Ok(names.collect())
    }

    /// Who a client is, at the server.
    pub(crate) async fn session_user(&self) -> Result<String, Error> {
        let rows = self.ask(PROBE, "SELECT session_user").await?;
        let first = rows.first().and_then(|row| text(row, "session_user"));
        first.ok_or(Error::Incomplete("session_user"))
    }

    /// Where the pool of [`PROBE`] leads; known after its first use.
    pub(crate) async fn target(&self) -> Result<Target, Error> {
        let rows = self.ask(CONSOLE, "SHOW DATABASES").await?;
        let is_probe = |row: &&PgRow| text(row, "name").as_deref() == Some(PROBE);
        let row = rows.iter().find(is_probe).ok_or(Error::Incomplete(PROBE))?;
        Ok(Target {
            host: text(row, "host").ok_or(Error::Incomplete("host"))?,
            port: text(row, "port").ok_or(Error::Incomplete("port"))?,
            database: text(row, "database").ok_or(Error::Incomplete("database"))?,
        })
    }

    /// How many clients there are that are not dbproxy.
    pub(crate) async fn clients(&self) -> Result<usize, Error> {
        let rows = self.ask(CONSOLE, "SHOW CLIENTS").await?;
        let is_ours = |row: &&PgRow| {
            !matches!(
                text(row, "database").as_deref(),
                Some(PROBE | CONSOLE) | None
            )
        };
        Ok(rows.iter().filter(is_ours).count())
    }

    pub(crate) async fn figures(&self) -> Result<Figures, Error> {
        let mut figures = Figures::default();
        for row in theirs(&self.ask(CONSOLE, "SHOW POOLS").await?) {
            figures.clients_active += number(row, "cl_active");
            figures.clients_waiting += number(row, "cl_waiting");
            figures.servers_active += number(row, "sv_active");
            figures.servers_idle += number(row, "sv_idle");
            figures.servers_used += number(row, "sv_used") + number(row, "sv_tested");
            figures.servers_login += number(row, "sv_login");
            let wait = number(row, "maxwait");
            figures.longest_wait_seconds = figures.longest_wait_seconds.max(wait);
        }
        for row in theirs(&self.ask(CONSOLE, "SHOW STATS").await?) {
            let total = |column| number(row, column).unsigned_abs();
            figures.transactions += total("total_xact_count");
            figures.queries += total("total_query_count");
            figures.received_bytes += total("total_received");
            figures.sent_bytes += total("total_sent");
            figures.wait_microseconds += total("total_wait_time");
        }
        Ok(figures)
    }

    pub(super) async fn ask(
        &self,
        database: &str,
        question: &'static str,
    ) -> Result<Vec<PgRow>, Error> {
        let mut connection = self.open(database).await?;
        let answer = timeout(TIMEOUT, show(&mut connection, question)).await;
        let rows = answer.unwrap_or(Err(Error::TimedOut))?;
        // The answer is here; what becomes of the goodbye changes nothing.
        let _ = timeout(TIMEOUT, connection.close()).await;
        Ok(rows)
    }

    pub(super) async fn open(&self, database: &str) -> Result<PgConnection, Error> {
        let connected = timeout(TIMEOUT, Box::pin(self.connect(database))).await;
        let connected = connected.map_err(|_| Error::TimedOut)?;
        connected.map_err(Error::Connect)
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnectOptions::new_without_pgpass()
            .host(&self.address.to_string())
            .port(self.port)
            .username(PROBE)
            .password("")
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("dbproxy")
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .disable_statement_logging()
            .connect()
            .await
    }
}

pub(super) async fn show(
    connection: &mut PgConnection,
    question: &'static str,
) -> Result<Vec<PgRow>, Error> {
    let rows = sqlx::raw_sql(question).fetch_all(connection).await;
    rows.map_err(|err| Error::Ask(question, err))
}

/// Rows about pools of clients.
fn theirs(rows: &[PgRow]) -> impl Iterator<Item = &PgRow> {
    let is_ours = |row: &PgRow| matches!(text(row, "database").as_deref(), Some(PROBE | CONSOLE));
    rows.iter().filter(move |row| !is_ours(row))
}

fn text(row: &PgRow, column: &str) -> Option<String> {
    let value = row.try_get_raw(column).ok()?;
    if value.is_null() {
        return None;
    }
    value.as_str().ok().map(str::to_owned)
}

/// 0 where a version has no such column.
fn number(row: &PgRow, column: &str) -> i64 {
    text(row, column)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}
