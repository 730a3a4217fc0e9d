//! The logins in use: the newest, and the one before it while its work ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::Credential;
use super::gate::Gate;

/// One login.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) login: String,
    pub(crate) auth_source: String,
    passwords: Mutex<Passwords>,
    /// By member, since each of them takes a new password in its own time.
    gates: Mutex<HashMap<Arc<str>, Arc<Gate>>>,
}

struct Passwords {
    current: SecretString,
    previous: Option<SecretString>,
    version: u64,
    /// Since when another generation is the newest.
    retired: Option<Instant>,
}

impl Generation {
    fn new(number: u64, credential: &Credential, version: u64) -> Self {
        let passwords = Passwords {
            current: credential.password.clone(),
            previous: None,
            version,
            retired: None,
        };
        Self {
            number,
            login: credential.login.clone(),
            auth_source: credential.auth_source.clone(),
            passwords: Mutex::new(passwords),
            gates: Mutex::default(),
        }
    }

    /// The password, the one before it, and the version of both.
    pub(crate) fn passwords(&self) -> (SecretString, Option<SecretString>, u64) {
        let passwords = lock(&self.passwords);
        let previous = passwords.previous.clone();
        (passwords.current.clone(), previous, passwords.version)
    }

    pub(crate) fn gate(&self, member: &Arc<str>) -> Arc<Gate> {
        let mut gates = lock(&self.gates);
        Arc::clone(gates.entry(Arc::clone(member)).or_default())
    }

    /// Whether it stopped being the newest so long ago.
    pub(crate) fn is_retired_for(&self, duration: Duration) -> bool {
        let retired = lock(&self.passwords).retired;
        retired.is_some_and(|since| since.elapsed() >= duration)
    }

    /// Whether a server took this very credential.
    pub(crate) fn has_proven(&self, credential: &Credential) -> bool {
        let (current, _, version) = self.passwords();
        self.is_of(credential)
            && current.expose_secret() == credential.password.expose_secret()
            && lock(&self.gates)
                .values()
                .any(|gate| gate.has_proven(version))
    }

    fn is_of(&self, credential: &Credential) -> bool {
        self.login == credential.login && self.auth_source == credential.auth_source
    }
}

#[derive(Default)]
struct Kept {
    newest: Option<Arc<Generation>>,
    older: Option<Arc<Generation>>,
    made: u64,
    changed: Option<Instant>,
}

pub(crate) struct Generations {
    kept: Mutex<Kept>,
    versions: watch::Sender<u64>,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            versions: watch::Sender::new(0),
        }
    }
}

impl Generations {
    /// Makes that credential the newest.
    pub(crate) fn install(&self, credential: &Credential) {
        let mut kept = lock(&self.kept);
        let version = *self.versions.borrow() + 1;
        if kept
            .newest
            .as_ref()
            .is_none_or(|newest| !newest.is_of(credential))
        {
            let before = kept.newest.take();
            if let Some(before) = &before {
                lock(&before.passwords).retired = Some(Instant::now());
            }
            let older = std::mem::replace(&mut kept.older, before);
            kept.newest = older.filter(|older| older.is_of(credential));
        }
        if let Some(generation) = &kept.newest {
            renew(&mut lock(&generation.passwords), credential, version);
        } else {
            kept.made += 1;
            kept.newest = Some(Arc::new(Generation::new(kept.made, credential, version)));
        }
        kept.changed = Some(Instant::now());
        drop(kept);
        self.versions.send_replace(version);
    }

    pub(crate) fn newest(&self) -> Option<Arc<Generation>> {
        lock(&self.kept).newest.clone()
    }

    pub(crate) fn older(&self) -> Option<Arc<Generation>> {
        lock(&self.kept).older.clone()
    }

    /// The generation of that number, if it is one of the two.
    pub(crate) fn kept(&self, number: u64) -> Option<Arc<Generation>> {
        let kept = lock(&self.kept);
        let mut both = [&kept.newest, &kept.older].into_iter().flatten();
        both.find(|generation| generation.number == number).cloned()
    }

    /// When the last credential came.
    pub(crate) fn changed(&self) -> Option<Instant> {
        lock(&self.kept).changed
    }

    /// Tells of each credential.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }
}

fn renew(passwords: &mut Passwords, credential: &Credential, version: u64) {
    passwords.retired = None;
    passwords.version = version;
    if passwords.current.expose_secret() != credential.password.expose_secret() {
        let before = std::mem::replace(&mut passwords.current, credential.password.clone());
        passwords.previous = Some(before);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
