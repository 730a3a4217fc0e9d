//! One admin session: sends batches, reads one answer, and goes back to the pool only if nothing
//! went wrong. After an error, a timeout or a dropped future it is closed instead, and what it
//! held (a transaction, the claim's lock) goes with it.

use std::sync::Arc;

use engine::{address::Address, dsn::Dsn, timeouts::Timeouts};
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    admins::Rack,
    connect::text,
    error::{Error, Kind},
    sql::Sql,
};

/// A session of an admin in one database.
pub struct Session {
    /// `None` only while it is being dropped.
    connection: Option<PgConnection>,
    address: Address,
    database: String,
    timeouts: Timeouts,
    /// Whether the next user would find it as a new session is.
    is_clean: bool,
    holds_lock: bool,
    rack: Arc<Rack>,
    /// Freed after `drop` has put the connection back.
    _permit: OwnedSemaphorePermit,
}

impl Session {
    pub(crate) fn new(
        connection: PgConnection,
        dsn: &Dsn,
        timeouts: Timeouts,
        rack: Arc<Rack>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            connection: Some(connection),
            address: dsn.address.clone(),
            database: dsn.database.to_string(),
            timeouts,
            is_clean: true,
            holds_lock: false,
            rack,
            _permit: permit,
        }
    }

    /// `server_version_num`, as the server said when it was connected to.
    pub(crate) fn version(&self) -> u32 {
        let connection = self.connection.as_ref();
        connection
            .and_then(PgConnection::server_version_num)
            .unwrap_or_default()
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Runs statements as one message and so as one transaction.
    pub(crate) async fn run(
        &mut self,
        statements: impl IntoIterator<Item = Sql>,
    ) -> Result<(), Kind> {
        let batch = Sql::batch(statements);
        let limit = self.timeouts.answer();
        self.with(async |connection| {
            match timeout(limit, batch.into_query().execute(connection)).await {
                Ok(result) => Ok(result.map(|_| ())?),
                Err(_) => Err(Kind::TimedOut(limit)),
            }
        })
        .await
    }

    /// Reads the JSON document that a statement answers.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, question: Sql) -> Result<T, Kind> {
        let limit = self.timeouts.answer();
        let answer = self
            .with(async |connection| text(connection, question, limit).await)
            .await?;
        serde_json::from_str(&answer).map_err(|err| Kind::Answer(err.to_string()))
    }

    /// The same of one statement among several, which are sent as one message and so are one
    /// transaction; the others answer nothing.
    pub(crate) async fn ask_as<T: DeserializeOwned>(
        &mut self,
        statements: impl IntoIterator<Item = Sql>,
    ) -> Result<T, Kind> {
        self.ask(Sql::batch(statements)).await
    }

    /// What is not marked clean again, because of an error or a drop, never is.
    async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Kind>,
    ) -> Result<T, Kind> {
        let was_clean = std::mem::replace(&mut self.is_clean, false);
        let Some(connection) = self.connection.as_mut() else {
            return Err(Kind::Unreachable("the session is closed".to_owned()));
        };
        let outcome = work(connection).await?;
        self.is_clean = was_clean;
        Ok(outcome)
    }

    /// From here on the session holds a lock, which must not outlive its user.
    pub(crate) fn mark_locked(&mut self) {
        self.holds_lock = true;
    }

    pub(crate) fn mark_unlocked(&mut self) {
        self.holds_lock = false;
    }

    pub(crate) fn error(&self, kind: Kind, operation: impl Into<String>) -> Error {
        kind.at(&self.address, operation)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(connection), true) =
            (self.connection.take(), self.is_clean && !self.holds_lock)
        {
            let database = std::mem::take(&mut self.database);
            self.rack.put(database, connection);
        }
    }
}
