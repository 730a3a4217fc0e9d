//! The engines that serve claims, behind one face: everything else in this crate is the same for
//! all of them. Which one it is follows from the connection string.
//! The futures of MongoDB's driver are large; boxed, they cost only the claims that need them.

use std::{collections::BTreeSet, sync::Arc};

use engine::{
    address::Engine,
    catalog::{Catalog, Question},
    decide::{self, ContentsPlan},
    dsn::{Credential, Dsn},
    error_class::ErrorClass,
    mark::Mark,
    names::{Login, RoleName},
    observed::Proof,
    share::{Share, Wanted},
    step::ServerStep,
    timeouts::Timeouts,
    tripwire::{Blind, Reading},
    wishes::{Accounts, Wishes},
};
use futures::FutureExt;
use jiff::Timestamp;
use postgres::Verifier;

use crate::{error::Error, tripwire::OwnRefusals};

/// Admin connections to servers of every engine. Clones share them.
#[derive(Clone)]
pub struct Engines {
    timeouts: Timeouts,
    postgres: postgres::Admins,
    mongo: mongo::Admins,
    own_refusals: Arc<OwnRefusals>,
}

impl Engines {
    /// At most `limit` sessions, used and unused, for each server and admin.
    pub fn new(timeouts: Timeouts, limit: usize) -> Self {
        Self {
            timeouts,
            postgres: postgres::Admins::new(timeouts, limit),
            mongo: mongo::Admins::new(timeouts, limit),
            own_refusals: Arc::default(),
        }
    }

    /// A session of the admin.
    pub async fn acquire(&self, admin: &Dsn) -> Result<Session, Error> {
        Ok(match admin.address.scheme.engine() {
            Engine::Postgres => Session::Postgres(self.postgres.acquire(admin).await?),
            Engine::Mongo => Session::Mongo(self.mongo.acquire(admin).boxed().await?),
        })
    }

    /// Logs in with what is published or about to be, as an application would: with each of the
    /// connection strings. A session of PostgreSQL must run as the owner role `expected`.
    pub async fn log_in(&self, dsns: &[Dsn], expected: &RoleName) -> Result<(), ServerError> {
        for dsn in dsns {
            let outcome = self.log_in_once(dsn, expected).await;
            if outcome.as_ref().is_err_and(ServerError::is_refused_login) {
                let login = &dsn.credential.login;
                self.own_refusals.note(login, Timestamp::now());
            }
            outcome?;
        }
        Ok(())
    }

    async fn log_in_once(&self, dsn: &Dsn, expected: &RoleName) -> Result<(), ServerError> {
        match dsn.address.scheme.engine() {
            Engine::Postgres => postgres::log_in(dsn, expected, self.timeouts).await?,
            Engine::Mongo => mongo::log_in(dsn, self.timeouts).boxed().await?,
        }
        Ok(())
    }

    /// The logins of this kind that a server refused.
    pub fn own_refusals(&self) -> &OwnRefusals {
        &self.own_refusals
    }

    /// What such a login shows of a credential. Errors: what shows nothing of it.
    pub async fn prove(&self, dsns: &[Dsn], expected: &RoleName) -> Result<Proof, Error> {
        match self.log_in(dsns, expected).await {
            Ok(()) => Ok(Proof::Works),
            Err(err) => err.proof().ok_or_else(|| err.into()),
        }
    }

    /// Gives what `login` owns in the claim's own database to the owner role: the home session
    /// can't see it there. On MongoDB nobody owns anything.
    pub async fn empty_hands(
        &self,
        admin: &Dsn,
        login: &Login,
        role: &RoleName,
        catalog: &Catalog,
    ) -> Result<(), Error> {
        if let Session::Postgres(mut inside) = self.acquire(admin).await? {
            inside.reassign_owned(login, role, catalog).await?;
        }
        Ok(())
    }

    /// Does steps inside of the shared database that `admin` names.
    pub async fn apply_inside(
        &self,
        admin: &Dsn,
        steps: &[ServerStep],
        catalog: &Catalog,
    ) -> Result<(), Error> {
        if steps.is_empty() {
            return Ok(());
        }
        if let Session::Postgres(mut inside) = self.acquire(admin).await? {
            inside.apply(steps, catalog).await?;
        }
        Ok(())
    }

    /// Which of these schemas the database that `admin` names has.
    pub async fn existing_schemas(
        &self,
        admin: &Dsn,
        share: &Share,
    ) -> Result<BTreeSet<String>, Error> {
        let Session::Postgres(mut inside) = self.acquire(admin).await? else {
            return Ok(BTreeSet::new());
        };
        Ok(inside.existing_schemas(share.spellings()).await?)
    }

    /// Brings the rights in the database that `admin` names to what is wanted.
    pub async fn share(
        &self,
        admin: &Dsn,
        wanted: &Wanted,
        existing: &BTreeSet<String>,
        catalog: &Catalog,
    ) -> Result<postgres::Shared, Error> {
        let Session::Postgres(mut inside) = self.acquire(admin).await? else {
            return Ok(postgres::Shared::default());
        };
        Ok(inside.share(wanted, existing, catalog).await?)
    }

    /// Compares what [`Engines::share`] would change.
    pub async fn compare_share(
        &self,
        admin: &Dsn,
        wanted: &Wanted,
        existing: &BTreeSet<String>,
    ) -> Result<postgres::Shared, Error> {
        let Session::Postgres(mut inside) = self.acquire(admin).await? else {
            return Ok(postgres::Shared::default());
        };
        Ok(inside.compare_share(wanted, existing).await?)
    }

    /// Fills in where sessions come from, where the catalog lacks it.
    pub async fn name_clients(&self, admin: &Dsn, catalog: &mut Catalog) -> Result<(), Error> {
        if let Session::Postgres(mut session) = self.acquire(admin).await? {
            session.name_clients(catalog).await?;
        }
        Ok(())
    }

    /// Closes what has been unused for too long, for ever: to be run beside the work.
    pub async fn reap(&self) {
        tokio::join!(self.postgres.reap(), self.mongo.reap());
    }
}

/// A session of an admin.
pub enum Session {
    Postgres(postgres::Session),
    Mongo(mongo::Session),
}

impl Session {
    /// Waits for the locks of a claim, for a bounded time, in the order of the keys. On MongoDB
    /// `accounts` says how the claim's logins are defined; there the last key is the claim's own,
    /// and the only one: what the others guard is not there.
    pub async fn lock(self, keys: &[i64], accounts: Accounts) -> Result<Locked, Error> {
        Ok(match self {
            Self::Postgres(session) => Locked::Postgres(session.lock(keys).await?),
            Self::Mongo(session) => {
                let session = session.for_accounts(accounts);
                let key = keys.last().copied().unwrap_or_default();
                Locked::Mongo(session.lock(key).boxed().await?)
            }
        })
    }

    /// Everything that a decision about a claim needs from its server.
    pub async fn observe(&mut self, question: &Question) -> Result<Catalog, Error> {
        Ok(match self {
            Self::Postgres(session) => session.observe(question).await?,
            Self::Mongo(session) => session.observe(question).boxed().await?,
        })
    }

    /// Reads on in the server's log about refused logins; without a position from its end.
    pub async fn refused_logins(
        &mut self,
        after: Option<&str>,
    ) -> Result<Result<Reading, Blind>, Error> {
        Ok(match self {
            Self::Postgres(session) => session.refused_logins(after).await?,
            Self::Mongo(session) => session.refused_logins(after).boxed().await?,
        })
    }

    /// Compares and completes what is inside of the session's database.
    pub async fn populate(&mut self, wishes: &Wishes) -> Result<ContentsPlan, Error> {
        match self {
            Self::Postgres(session) => populate(session, wishes).await,
            Self::Mongo(_) => Ok(ContentsPlan::default()),
        }
    }
}

/// A session that holds a claim's lock: only what it sends changes a password.
pub enum Locked {
    Postgres(postgres::Locked),
    Mongo(mongo::Locked),
}

impl Locked {
    /// As [`Session::observe`].
    pub async fn observe(&mut self, question: &Question) -> Result<Catalog, Error> {
        Ok(match self {
            Self::Postgres(session) => session.observe(question).await?,
            Self::Mongo(session) => session.observe(question).boxed().await?,
        })
    }

    /// As [`Session::populate`].
    pub async fn populate(&mut self, wishes: &Wishes) -> Result<ContentsPlan, Error> {
        match self {
            Self::Postgres(session) => populate(session, wishes).await,
            Self::Mongo(_) => Ok(ContentsPlan::default()),
        }
    }

    /// Compares what [`Locked::populate`] would complete.
    pub async fn compare(&mut self, wishes: &Wishes) -> Result<ContentsPlan, Error> {
        match self {
            Self::Postgres(session) => compare(session, wishes).await,
            Self::Mongo(_) => Ok(ContentsPlan::default()),
        }
    }

    /// Does the steps in their order; `catalog` is what this server last answered.
    pub async fn apply(&mut self, steps: &[ServerStep], catalog: &Catalog) -> Result<(), Error> {
        match self {
            Self::Postgres(session) => session.apply(steps, catalog).await?,
            Self::Mongo(session) => session.apply(steps, catalog).boxed().await?,
        }
        Ok(())
    }

    /// Finds out whether the admin's own logins were made for it by a superuser, and sets passwords
    /// as that asks for.
    pub async fn use_lent_logins(&mut self) -> Result<bool, Error> {
        match self {
            Self::Postgres(session) => Ok(session.use_lent_logins().await?),
            Self::Mongo(_) => Ok(false),
        }
    }

    /// Gives a login its password and its mark, unless its comment is no longer the one `seen`.
    pub async fn set_password(
        &mut self,
        credential: &Credential,
        mark: &Mark,
        seen: Option<&str>,
    ) -> Result<(), Error> {
        let Credential { login, password } = credential;
        match self {
            Self::Postgres(session) => {
                let verifier = Verifier::of(password).await.ok_or(Error::Stopping)?;
                session.set_password(login, &verifier, mark, seen).await?;
            }
            Self::Mongo(session) => {
                session
                    .set_password(login, password, mark, seen)
                    .boxed()
                    .await?;
            }
        }
        Ok(())
    }

    /// Frees the lock.
    pub async fn unlock(self) -> Result<(), Error> {
        match self {
            Self::Postgres(session) => drop(session.unlock().await?),
            Self::Mongo(session) => drop(session.unlock().boxed().await?),
        }
        Ok(())
    }
}

async fn compare(session: &mut postgres::Session, wishes: &Wishes) -> Result<ContentsPlan, Error> {
    let seen = session
        .observe_contents(&wishes.role, &wishes.extensions, &wishes.system_functions)
        .await?;
    Ok(decide::contents(wishes, &seen))
}

async fn populate(session: &mut postgres::Session, wishes: &Wishes) -> Result<ContentsPlan, Error> {
    let mut plan = compare(session, wishes).await?;
    for failure in session.apply_contents(&plan.steps).await? {
        if wishes.are_extensions_explicit {
            plan.missing_extensions.push(failure.extension);
        }
    }
    Ok(plan)
}

/// What a server did not do, and why.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    #[error(transparent)]
    Mongo(#[from] mongo::Error),
}

impl ServerError {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Postgres(err) => err.class(),
            Self::Mongo(err) => err.class(),
        }
    }

    /// Whether the server knew the login and said no.
    pub fn is_refused_login(&self) -> bool {
        self.proof() == Some(Proof::Refused)
    }

    /// Whether login and password are right, and all sessions of the login in use.
    pub fn is_full_login(&self) -> bool {
        matches!(self, Self::Postgres(err) if err.kind == postgres::Kind::LoginFull)
    }

    /// What a failed login shows of its credential, if it shows anything.
    fn proof(&self) -> Option<Proof> {
        match self {
            Self::Postgres(err) => match err.kind {
                // A password that SCRAM can't carry was never one of ours.
                postgres::Kind::RefusedLogin(_) | postgres::Kind::Unprepared => {
                    Some(Proof::Refused)
                }
                // What is wrong behind the login is put right with the roles.
                postgres::Kind::WrongRole { .. }
                | postgres::Kind::LoginFull
                | postgres::Kind::NoDatabase(_)
                | postgres::Kind::Forbidden(_) => Some(Proof::LogsIn),
                _ => None,
            },
            Self::Mongo(err) => match err.kind {
                mongo::Kind::RefusedLogin => Some(Proof::Refused),
                mongo::Kind::Forbidden(_) => Some(Proof::LogsIn),
                _ => None,
            },
        }
    }
}
