//! What was seen at the start of a reconcile, under the lock.

use std::time::Duration;

use jiff::Timestamp;

use crate::{catalog::Catalog, names::Login, schedule, secret::Stored};

/// By how much clocks of two controllers may differ.
const SKEW: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub struct Observed {
    /// The published Secret, where there is one that is ours or may become so.
    pub secret: Option<Stored>,
    /// The login that the Secret publishes: the one that was proved, else the one that its keys
    /// agree on.
    pub login: Option<Login>,
    pub catalog: Catalog,
    /// Whether the published credential logs in; `None` where nothing asked for a proof.
    pub published: Proof,
    pub recorded: Recorded,
}

/// What a login with the published credential showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    NotAsked,
    Works,
    /// Login and password are right; the role setting or the database behind them is not.
    LogsIn,
    /// The server refused login or password.
    Refused,
}

/// What the claim's status says: believed for times and for what the Secret can't tell, never for
/// which login is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    pub secret_resource_version: Option<String>,
    /// The login that status names as current; for a claim of the original, `activeDB`'s.
    pub current_login: Option<String>,
    pub rotated_at: Option<Timestamp>,
    pub handled_nonce: Option<String>,
    pub deferred_since: Option<Timestamp>,
    pub generation: i64,
    /// The newest credential whose revocation is complete.
    pub revoked: Option<i64>,
    /// The database that status names.
    pub database: Option<String>,
    /// Whether everything was there once.
    pub is_provisioned: bool,
    /// Whether all that the spec asks for now was carried out once.
    pub is_carried_out: bool,
}

impl Observed {
    /// When the published credential was made: the Secret knows it best, then the status. A time
    /// that is still to come was written by a hand or a wrong clock; believed, it would stop the
    /// timer until then.
    pub fn rotated_at(&self, now: Timestamp) -> Option<Timestamp> {
        let stored = self.secret.as_ref().and_then(Stored::rotated_at);
        let known = [stored, self.recorded.rotated_at];
        let is_past = |at: &Timestamp| schedule::until(now, *at) <= SKEW;
        known.into_iter().flatten().find(is_past)
    }

    /// Number of the newest credential that was published.
    pub fn generation(&self) -> i64 {
        let stored = self.secret.as_ref().map_or(0, Stored::generation);
        stored.max(self.recorded.generation)
    }

    pub fn handled_nonce(&self) -> Option<&str> {
        self.secret
            .as_ref()
            .and_then(Stored::handled_nonce)
            .or(self.recorded.handled_nonce.as_deref())
    }
}
