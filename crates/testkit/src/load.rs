//! An application that follows its Secret the way a well-written one does.
//!
//! Several workers keep a connection each and run queries without pause. When the Secret changes, a
//! worker opens a connection with the new credential first, then closes the old one between two
//! queries. Nothing is retried in silence: each failed login and each failed query is counted.

mod follow;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use kube::Client;
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::postgres::connect;
use crate::process::POLL;
use follow::Credential;

const KEPT_TEXTS: usize = 10;

const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS load_lines (id bigserial PRIMARY KEY, at timestamptz)";
const INSERT: &str = "INSERT INTO load_lines (at) VALUES (now())";
const SELECT: &str = "SELECT max(id) FROM load_lines";

/// What the application did and suffered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    pub logins: u64,
    pub failed_logins: u64,
    pub queries: u64,
    pub failed_queries: u64,
    /// Times that a worker changed over to another credential.
    pub switches: u64,
    pub first_failures: Vec<String>,
}

/// The running application; it ends when dropped.
pub struct Load {
    report: Arc<Mutex<LoadReport>>,
    token: CancellationToken,
    tasks: JoinSet<Result<()>>,
}

impl Load {
    /// Waits for Secret `name` in `ns`, makes its table, and starts that many workers.
    pub async fn start(client: Client, ns: &str, name: &str, workers: usize) -> Result<Self> {
        let token = CancellationToken::new();
        let report = Arc::new(Mutex::new(LoadReport::default()));
        let mut tasks = JoinSet::new();
        let (sender, mut credential) = watch::channel(None);
        tasks.spawn(follow::run(
            client,
            ns.to_owned(),
            name.to_owned(),
            sender,
            token.clone(),
        ));
        let first = credential
            .wait_for(Option::is_some)
            .await
            .context("no Secret")?
            .clone();
        let first = first.context("no Secret")?;
        let mut connection = connect(&first.dsn).await?;
        sqlx::query(CREATE)
            .execute(&mut connection)
            .await
            .context("cannot make the table")?;
        for _ in 0..workers {
            let worker = Worker {
                credential: credential.clone(),
                report: Arc::clone(&report),
            };
            tasks.spawn(worker.run(token.clone()));
        }
        Ok(Self {
            report,
            token,
            tasks,
        })
    }

    /// The counts of this moment.
    pub fn report(&self) -> LoadReport {
        lock(&self.report).clone()
    }

    /// Ends the queries in order and returns the counts.
    pub async fn stop(mut self) -> Result<LoadReport> {
        self.token.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a worker panicked")??;
        }
        Ok(self.report())
    }
}

struct Worker {
    credential: watch::Receiver<Option<Credential>>,
    report: Arc<Mutex<LoadReport>>,
}

/// A connection and the Secret's version that it was opened with.
struct Session {
    connection: PgConnection,
    version: String,
}

impl Worker {
    async fn run(self, token: CancellationToken) -> Result<()> {
        let mut session: Option<Session> = None;
        while !token.is_cancelled() {
            let Some(credential) = self.credential.borrow().clone() else {
                continue;
            };
            session = match session.take() {
                Some(session) if session.version == credential.version => Some(session),
                old => self.change_over(old, credential).await,
            };
            match &mut session {
                None => tokio::time::sleep(POLL).await,
                Some(open) => {
                    let is_alive = self.work(&mut open.connection).await;
                    session = session.filter(|_| is_alive);
                }
            }
        }
        if let Some(Session { connection, .. }) = session {
            let _ = connection.close().await;
        }
        Ok(())
    }

    /// New before old. With a credential that does not work the application stays with the old one.
    async fn change_over(&self, old: Option<Session>, new: Credential) -> Option<Session> {
        let opened = connect(&new.dsn).await;
        lock(&self.report).logins += 1;
        match opened {
            Ok(connection) => {
                if let Some(Session { connection, .. }) = old {
                    lock(&self.report).switches += 1;
                    // Nothing was under way; how the old session ends loses nothing.
                    let _ = connection.close().await;
                }
                Some(Session {
                    connection,
                    version: new.version,
                })
            }
            Err(err) => {
                let mut report = lock(&self.report);
                report.failed_logins += 1;
                note(&mut report, &err);
                old
            }
        }
    }

    /// One write and one read; returns whether the connection is still good.
    async fn work(&self, connection: &mut PgConnection) -> bool {
        for sql in [INSERT, SELECT] {
            let outcome = sqlx::query(sql).execute(&mut *connection).await;
            let mut report = lock(&self.report);
            report.queries += 1;
            if let Err(err) = outcome {
                report.failed_queries += 1;
                note(&mut report, &err.into());
                return false;
            }
        }
        true
    }
}

fn note(report: &mut LoadReport, err: &anyhow::Error) {
    if report.first_failures.len() < KEPT_TEXTS {
        report.first_failures.push(format!("{err:#}"));
    }
}

fn lock(report: &Mutex<LoadReport>) -> MutexGuard<'_, LoadReport> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
