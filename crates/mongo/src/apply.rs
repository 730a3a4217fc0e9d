//! Carries out the engine's steps on a server, each under the claim's lock, each acknowledged by
//! a majority. Judges nothing: what was observed only tells what a login's mark says.

mod logins;

use engine::{
    catalog::{Catalog, DatabaseRole, Role},
    dsn::LOGINS_DATABASE,
    mark::Mark,
    names::{DatabaseName, Login},
    step::ServerStep,
};
use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use tokio::time::Instant;

use crate::{
    error::{Error, Kind},
    lease::{LOCKS, Locked},
    mark::{State, document},
    observe::reservation,
    users,
};

impl Locked {
    /// Does the steps in their order. `catalog` is what this server last answered; a step that it
    /// no longer fits fails with `ErrorClass::Conflict`.
    pub async fn apply(&mut self, steps: &[ServerStep], catalog: &Catalog) -> Result<(), Error> {
        for step in steps {
            let outcome = self.step(step, catalog).await;
            outcome.map_err(|kind| self.error(kind, step.title()))?;
        }
        Ok(())
    }

    /// Gives the login its password and says in its mark on what that was based. Changes nothing
    /// where the login's mark is no longer the one that was `seen`: then somebody else, who took
    /// the lock when it had run out, set a password meanwhile.
    ///
    /// Ends well only when a majority has the password. Where nobody knows whether it does, the
    /// same command is sent again, for as long as one answer may take.
    pub async fn set_password(
        &mut self,
        login: &Login,
        password: &SecretString,
        mark: &Mark,
        seen: Option<&str>,
    ) -> Result<(), Error> {
        let outcome = self.try_set_password(login, password, mark, seen).await;
        outcome.map_err(|kind| self.error(kind, format!("setting the password of {login}")))
    }

    async fn try_set_password(
        &mut self,
        login: &Login,
        password: &SecretString,
        mark: &Mark,
        seen: Option<&str>,
    ) -> Result<(), Kind> {
        let deadline = Instant::now() + self.timeouts().answer();
        if self.comment_of(login).await?.as_deref() != seen {
            let other = "another controller set this password".to_owned();
            return Err(Kind::Changed(other));
        }
        let command = users::set_password(login, password, mark, self.mechanisms());
        // Where the login is published comes first: there its mark is looked at.
        for database in self.logins_in().to_vec() {
            self.insist(&database, login, &command, deadline).await?;
        }
        Ok(())
    }

    async fn insist(
        &mut self,
        database: &str,
        login: &Login,
        command: &Document,
        deadline: Instant,
    ) -> Result<(), Kind> {
        loop {
            match self.define(database, login, command).await {
                Ok(()) => return Ok(()),
                Err(kind) if kind.is_unsettled() && Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(kind) => return Err(kind),
            }
        }
    }

    async fn step(&mut self, step: &ServerStep, catalog: &Catalog) -> Result<(), Kind> {
        let role_of = |login: &Login| catalog.roles.get(login.as_str());
        match step {
            ServerStep::CreateLogin { login, mark, .. } => {
                let database = self.published_in().to_owned();
                let command = users::create(login, mark, self.mechanisms())?;
                self.define(&database, login, &command).await
            }
            ServerStep::CreateCopy {
                login,
                database,
                mark,
            } => {
                let command = users::create(login, mark, self.mechanisms())?;
                self.define(database, login, &command).await
            }
            ServerStep::GrantRoles { login, roles } => {
                self.logins(login, users::grant(login, roles)).await
            }
            ServerStep::RevokeRoles { login, roles } => {
                self.logins(login, users::revoke(login, roles)).await
            }
            ServerStep::MarkLogin { login, mark } => {
                let state = state(role_of(login));
                self.logins(login, users::mark(login, mark, state)).await
            }
            ServerStep::OwnDatabase { database, mark, .. } => {
                self.reserve(database, mark, catalog).await
            }
            ServerStep::Retire { login } => {
                let mark = role_of(login).and_then(Role::mark);
                let command = users::close(login, mark.as_ref(), self.mechanisms())?;
                self.logins(login, command).await
            }
            ServerStep::Terminate { login } => self.terminate(login, role_of(login)).await,
            ServerStep::DropLogin { login, .. } => {
                let database = self.published_in().to_owned();
                self.drop_login(login, &database).await
            }
            ServerStep::DropCopy { login, database } => self.drop_login(login, database).await,
            ServerStep::DropDatabase { database } => self.drop_database(database).await,
            ServerStep::CreateOwner { .. }
            | ServerStep::JoinOwner { .. }
            | ServerStep::CreateSchemaRole { .. }
            | ServerStep::MarkSchemaRole { .. }
            | ServerStep::JoinSchemaRole { .. }
            | ServerStep::LeaveRole { .. }
            | ServerStep::Alter { .. }
            | ServerStep::ReturnDatabase { .. }
            | ServerStep::CloseDatabase { .. }
            | ServerStep::SearchPath { .. }
            | ServerStep::DropSchemaRole { .. }
            | ServerStep::AssumeOwner { .. }
            | ServerStep::RenameOwner { .. }
            | ServerStep::MarkOwner { .. }
            | ServerStep::CreateDatabase { .. }
            | ServerStep::AllowReplication { .. }
            | ServerStep::RevokeReplication { .. }
            | ServerStep::LimitConnections { .. }
            | ServerStep::Elevate { .. }
            | ServerStep::Demote { .. }
            | ServerStep::HandOver { .. }
            | ServerStep::Disarm { .. }
            | ServerStep::DropOwner { .. } => Err(Kind::ForeignStep),
        }
    }

    /// The same wherever the login is defined.
    async fn logins(&mut self, login: &Login, command: Document) -> Result<(), Kind> {
        for database in self.logins_in().to_vec() {
            self.define(&database, login, &command).await?;
        }
        Ok(())
    }

    /// Writes the reservation of a name, or the claim's new mark over its old one.
    async fn reserve(
        &mut self,
        database: &DatabaseName,
        mark: &Mark,
        catalog: &Catalog,
    ) -> Result<(), Kind> {
        let id = reservation(database);
        let mut wanted = document(mark);
        let seen = catalog.databases.get(database);
        let command = match seen.and_then(engine::catalog::Database::mark) {
            None => {
                wanted.insert("_id", id);
                doc! { "insert": LOCKS, "documents": [wanted] }
            }
            Some(seen) => {
                let query = doc! { "_id": id, "uid": seen.uid };
                doc! { "update": LOCKS, "updates": [{ "q": query, "u": wanted }] }
            }
        };
        let answer = self.change(LOGINS_DATABASE, command).await?;
        match answer.get_i32("n") {
            Ok(1) => Ok(()),
            _ => Err(Kind::Changed(format!("database {database} was reserved"))),
        }
    }

    /// Logs out every connection of a login, for which the login must go and come back: a
    /// connection outlives a changed password. What comes back is shut.
    async fn terminate(&mut self, login: &Login, found: Option<&Role>) -> Result<(), Kind> {
        let Some(mark) = found.and_then(Role::mark) else {
            return Err(Kind::Changed("the login has no mark".to_owned()));
        };
        for database in self.logins_in().to_vec() {
            self.drop_login(login, &database).await?;
        }
        let command = users::create(login, &mark, self.mechanisms())?;
        self.logins(login, command).await?;
        let roles = found.into_iter().flat_map(|role| &role.member_of);
        let roles: Vec<_> = roles.filter_map(|text| DatabaseRole::parse(text)).collect();
        if roles.is_empty() {
            return Ok(());
        }
        self.logins(login, users::grant(login, &roles)).await
    }

    /// First the data, then the name: who reserves it next finds nothing.
    async fn drop_database(&mut self, database: &DatabaseName) -> Result<(), Kind> {
        self.change(database.as_str(), doc! { "dropDatabase": 1 })
            .await?;
        let id = doc! { "_id": reservation(database) };
        let free = doc! { "delete": LOCKS, "deletes": [{ "q": id, "limit": 1 }] };
        self.change(LOGINS_DATABASE, free).await.map(drop)
    }
}

/// Between two attempts at the same change.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

fn state(role: Option<&Role>) -> State {
    if role.is_none_or(|role| role.can_login) {
        State::Usable
    } else {
        State::Closed
    }
}
