//! One admin session: sends commands, each bounded by the server and by a slightly longer wait
//! here, and knows which members the server has. Writes are acknowledged by a majority or fail.

use std::{sync::Arc, time::Duration};

use engine::{
    address::Address,
    dsn::{Dsn, LOGINS_DATABASE},
    timeouts::Timeouts,
    wishes::Accounts,
};
use mongodb::{
    bson::{Document, doc},
    options::{SelectionCriteria, ServerAddress},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    admins::Rack,
    connect::Connection,
    error::{Error, Kind, confirmed},
    members::{self, Members},
};

/// How much longer the server may take for a write than for its majority.
const MAJORITY: Duration = Duration::from_secs(1);

/// A session of an admin.
pub struct Session {
    connection: Arc<Connection>,
    address: Address,
    admin: Admin,
    members: Members,
    accounts: Accounts,
    timeouts: Timeouts,
    rack: Arc<Rack>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Who this session is logged in as.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) name: String,
    pub(crate) is_root: bool,
}

impl Session {
    pub(crate) async fn open(
        dsn: &Dsn,
        timeouts: Timeouts,
        rack: Arc<Rack>,
        connection: Arc<Connection>,
    ) -> Result<Self, Kind> {
        let status = connection.status(timeouts.answer()).await?;
        let has = |field: &str, name: &str, value: &str| {
            let all = status.get_array(field).ok().into_iter().flatten();
            all.filter_map(|one| one.as_document())
                .any(|one| one.get_str(name).is_ok_and(|found| found == value))
        };
        let name = dsn.credential.login.to_string();
        // Dropped and made again, a user is logged out on connections that stay open.
        if !has("authenticatedUsers", "user", &name) {
            return Err(Kind::LoggedOut);
        }
        let is_root = has("authenticatedUserRoles", "role", "root");
        let members = members::of(&connection, timeouts.answer()).await?;
        Ok(Self {
            connection,
            address: dsn.address.clone(),
            admin: Admin { name, is_root },
            members,
            accounts: Accounts::default(),
            timeouts,
            rack,
            _permit: None,
        })
    }

    /// For a claim whose logins are defined like this.
    #[must_use]
    pub fn for_accounts(self, accounts: Accounts) -> Self {
        Self { accounts, ..self }
    }

    pub(crate) fn logins_in(&self) -> &[String] {
        &self.accounts.databases
    }

    pub(crate) fn mechanisms(&self) -> &[String] {
        &self.accounts.mechanisms
    }

    /// Where the logins are that connection strings name.
    pub(crate) fn published_in(&self) -> &str {
        self.accounts
            .databases
            .first()
            .map_or(LOGINS_DATABASE, String::as_str)
    }

    pub(crate) fn with_permit(self, permit: OwnedSemaphorePermit) -> Self {
        Self {
            _permit: Some(permit),
            ..self
        }
    }

    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) fn rack(&self) -> &Arc<Rack> {
        &self.rack
    }

    /// Reads from the primary.
    pub(crate) async fn ask(&self, database: &str, command: Document) -> Result<Document, Kind> {
        let mut command = command;
        command.insert("maxTimeMS", millis(self.timeouts.statement));
        let limit = self.timeouts.answer();
        self.seen(self.connection.run(database, command, limit).await)
    }

    /// Reads from one member, which is given as long as a connection would be.
    pub(crate) async fn ask_member(
        &self,
        member: &str,
        database: &str,
        command: Document,
    ) -> Result<Document, Kind> {
        let limit = self.timeouts.connect;
        let mut command = command;
        command.insert("maxTimeMS", millis(limit));
        let wanted = ServerAddress::parse(member)?;
        let is_wanted = move |server: &mongodb::ServerInfo<'_>| *server.address() == wanted;
        let criteria = SelectionCriteria::Predicate(Arc::new(is_wanted));
        let database = self.connection.client().database(database);
        let answer = database.run_command(command).selection_criteria(criteria);
        match timeout(limit, async { answer.await }).await {
            Ok(answer) => confirmed(answer?),
            Err(_) => Err(Kind::TimedOut(limit)),
        }
    }

    /// Changes something, and waits until a majority of the members has it.
    pub(crate) async fn write(&self, database: &str, command: Document) -> Result<Document, Kind> {
        let statement = self.timeouts.statement;
        let mut command = command;
        let concern = doc! { "w": "majority", "wtimeout": millis(statement) };
        command.insert("writeConcern", concern);
        command.insert("maxTimeMS", millis(statement + MAJORITY));
        let limit = self.timeouts.answer();
        self.seen(self.connection.run(database, command, limit).await)
    }

    /// A client that lost its login never gets it back by itself.
    fn seen<T>(&self, outcome: Result<T, Kind>) -> Result<T, Kind> {
        if let Err(Kind::LoggedOut | Kind::RefusedLogin) = outcome {
            self.rack.forget(&self.connection);
        }
        outcome
    }

    pub(crate) fn error(&self, kind: Kind, operation: impl Into<String>) -> Error {
        kind.at(&self.address, operation)
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
