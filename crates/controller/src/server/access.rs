//! The admin's way in: with the Secret that is rotated, with what this process logged in with last,
//! or with what the operator gave. Where somebody else changes the admin's password or Secret, one
//! of these still opens, and the rest is repaired from there.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use engine::{
    dsn::{Credential, Dsn},
    place::Server,
};

use crate::{
    claim::{dsn_of, initial_dsn, rotated_dsn},
    context::Context,
    engines::Session,
    error::Error,
};

/// So many credentials of one admin are remembered: of both logins.
const REMEMBERED: usize = 2;

/// Credentials of admins that logged in, by the server's UID. Only this process has them.
#[derive(Default)]
pub struct Keyring(Mutex<HashMap<String, Vec<Credential>>>);

impl Keyring {
    /// Remembers a credential that logs in, in the place of an earlier one of its login.
    pub(super) fn keep(&self, uid: &str, credential: Credential) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = all.entry(uid.to_owned()).or_default();
        keys.retain(|key| key.login != credential.login);
        keys.insert(0, credential);
        keys.truncate(REMEMBERED);
    }

    fn of(&self, uid: &str) -> Vec<Credential> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(uid).cloned().unwrap_or_default()
    }

    /// Forgets the servers that are gone.
    pub fn prune(&self, lives: impl Fn(&str) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|uid, _| lives(uid));
    }
}

/// A session of the admin, with the first of its credentials that the server takes.
pub(crate) async fn log_in(
    context: &Context,
    server: &Server,
    uid: &str,
) -> Result<(Dsn, Session), Error> {
    let rotated = rotated_dsn(context, server).await?;
    let is_rotated = server.rotated.is_some();
    let remembered = context.keyring.of(uid).into_iter();
    let remembered = remembered.filter(|_| is_rotated);
    let mut refusal = None;
    for dsn in rotated
        .into_iter()
        .chain(remembered.map(|key| dsn_of(server, key)))
    {
        match context.engines.acquire(&dsn).await {
            Ok(session) => return Ok((dsn, session)),
            Err(Error::Server(err)) if err.is_refused_login() => {
                refusal.get_or_insert(Error::Server(err));
            }
            Err(err) => return Err(err),
        }
    }
    let initial = initial_dsn(context, server).await;
    let Some(refusal) = refusal else {
        let dsn = initial?;
        let session = context.engines.acquire(&dsn).await?;
        return Ok((dsn, session));
    };
    // What is wrong with the credential that should work says more than the last resort.
    let Ok(dsn) = initial else {
        return Err(refusal);
    };
    match context.engines.acquire(&dsn).await {
        Ok(session) => Ok((dsn, session)),
        Err(_) => Err(refusal),
    }
}

#[cfg(test)]
mod tests {
    use engine::names::Login;

    use super::*;

    fn key(login: &str, password: &str) -> Credential {
        Credential {
            login: Login::try_from(login).unwrap(),
            password: password.into(),
        }
    }

    #[test]
    fn the_newest_of_two_logins_is_tried_first() {
        let keyring = Keyring::default();
        for (login, password) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            keyring.keep("u", key(login, password));
        }
        let logins: Vec<_> = keyring.of("u").into_iter().map(|key| key.login).collect();
        let logins: Vec<_> = logins.iter().map(Login::as_str).collect();
        assert_eq!(logins, ["c", "a"]);
        keyring.prune(|_| false);
        assert!(keyring.of("u").is_empty());
    }
}
