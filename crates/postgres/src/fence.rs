//! The fence of a rotation: a claim's lock lives in the very session that changes its passwords.
//! Who loses the session loses the lock, and can change nothing any more.

use std::ops::{Deref, DerefMut};

use engine::{mark::Mark, names::Login};

use crate::{
    error::{Error, Kind},
    lent,
    session::Session,
    sql::{Ident, Literal, sql},
    verifier::Verifier,
};

/// A session that holds a claim's lock. Dropped, it closes, and the server frees the lock.
pub struct Locked {
    session: Session,
    keys: Vec<i64>,
    /// Whether passwords are set through the function of the admin's lent logins.
    is_lent: bool,
}

impl Session {
    /// Waits for the locks of a claim one after the other, each at most as long as `Timeouts::lock`. Locks are seen by sessions
    /// of the same database only (manual section 13.3.5), so all controllers must take them
    /// through the same home database.
    pub async fn lock(mut self, keys: &[i64]) -> Result<Locked, Error> {
        let lock = |key: &i64| sql!("SELECT pg_advisory_lock({key})", key = *key);
        match self.run(keys.iter().map(lock)).await {
            Ok(()) => {
                self.mark_locked();
                let keys = keys.to_vec();
                Ok(Locked {
                    session: self,
                    keys,
                    is_lent: false,
                })
            }
            Err(Kind::LockTimeout) => Err(self.error(Kind::Fenced, "locking the claim")),
            Err(kind) => Err(self.error(kind, "locking the claim")),
        }
    }
}

impl Locked {
    /// Gives the login its password, by verifier, for ever, and says in its mark on what that was
    /// based. Changes nothing where the login's comment is no longer the one that was `seen`: then
    /// somebody else, who took a lock that is not this one, set a password meanwhile.
    pub async fn set_password(
        &mut self,
        login: &Login,
        verifier: &Verifier,
        mark: &Mark,
        seen: Option<&str>,
    ) -> Result<(), Error> {
        let name = Ident(login.as_str());
        // After the change, which waits for whoever changes the role at this moment. The division
        // by zero undoes it: no right is needed for that, and no language.
        let seen = seen.map_or(sql!("NULL"), |seen| sql!("{seen}", seen = Literal(seen)));
        let mark = mark.to_string();
        let direct = [
            sql!(
                "ALTER ROLE {name} LOGIN PASSWORD {verifier} VALID UNTIL 'infinity'",
                name = name,
                verifier = verifier.literal(),
            ),
            sql!(
                "SELECT 1 / count(*) FROM pg_roles WHERE rolname = {login} \
                 AND shobj_description(oid, 'pg_authid') IS NOT DISTINCT FROM {seen}",
                login = Literal(login.as_str()),
                seen = seen.clone(),
            ),
            sql!(
                "COMMENT ON ROLE {name} IS {mark}",
                name = name,
                mark = Literal(&mark),
            ),
        ];
        let outcome = if self.is_lent {
            let login = Literal(login.as_str());
            let setting = lent::setting(login, verifier.literal(), Literal(&mark), seen);
            self.session.run([setting]).await
        } else {
            self.session.run(direct).await
        };
        outcome.map_err(|kind| {
            let kind = match kind {
                // invalid_parameter_value, feature_not_supported
                Kind::Refused(code) if matches!(code.as_str(), "22023" | "0A000") => {
                    Kind::RefusedVerifier
                }
                // division_by_zero
                Kind::Refused(code) if code == "22012" => {
                    Kind::Changed("another controller set this password".to_owned())
                }
                kind => kind,
            };
            self.error(kind, format!("setting the password of {login}"))
        })
    }

    pub(crate) fn set_lent(&mut self, is_lent: bool) {
        self.is_lent = is_lent;
    }

    /// Frees the lock and keeps the session.
    pub async fn unlock(self) -> Result<Session, Error> {
        let Self {
            mut session, keys, ..
        } = self;
        let unlock = |key: i64| sql!("SELECT pg_advisory_unlock({key})", key = key);
        match session.run(keys.into_iter().map(unlock)).await {
            Ok(()) => {
                session.mark_unlocked();
                Ok(session)
            }
            Err(kind) => Err(session.error(kind, "unlocking the claim")),
        }
    }
}

impl Deref for Locked {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}
