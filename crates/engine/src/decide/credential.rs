//! What becomes of the published credential: kept, repaired, or replaced by the other login.

use jiff::Timestamp;

use super::revocation::is_published_revoked;
use crate::{
    catalog::Session,
    names::Login,
    observed::{Observed, Proof},
    rotation::{
        Cause,
        pick::{self, Idle, Published},
    },
    schedule,
    wishes::Wishes,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialStep {
    /// It works and is not due.
    Keep,
    /// The server lost it: the password that the Secret holds is set again.
    Restore { login: Login },
    /// Steps 4 to 8 with the idle login.
    Replace {
        idle: Idle,
        cause: Cause,
        /// The version of the Secret that the attempt is based on, or [`pick::no_secret`].
        base: String,
        /// Whether an unfinished attempt was based on that same version. Its publication may still
        /// be under way, so the version is moved first, which makes that publication fail.
        needs_fence: bool,
        /// Whether the idle login's sessions are ended, past `maxOverlap`.
        ends_sessions: bool,
    },
    /// The idle login has live sessions: whoever holds its old password could not come back.
    Defer {
        idle: Idle,
        cause: Cause,
        sessions: Vec<Session>,
    },
}

/// Decides on the credential. Due times come from what was recorded, so a restart decides the same.
pub fn credential(wishes: &Wishes, observed: &Observed, now: Timestamp) -> CredentialStep {
    if !is_published_revoked(wishes, observed)
        && let Some(login) = lost_by_server(wishes, observed)
    {
        return CredentialStep::Restore { login };
    }
    let Some(cause) = cause(wishes, observed, now) else {
        return CredentialStep::Keep;
    };
    let (pair, generation) = (wishes.logins(), observed.recorded.generation);
    let base = match &observed.secret {
        Some(secret) => secret.resource_version.clone(),
        None => pick::no_secret(generation),
    };
    let known = match &observed.login {
        Some(login) if observed.secret.is_some() && pair.contains(login.as_str()) => {
            Published::Named(login)
        }
        _ => {
            let login = observed.recorded.current_login.as_deref();
            Published::Remembered { login, base: &base }
        }
    };
    let idle = pick::pick(&pair, known, &observed.catalog);
    let sessions = sessions_of(observed, idle.login());
    let is_past_bound = wishes.timing.max_overlap.is_some_and(|bound| {
        let since = observed.recorded.deferred_since.unwrap_or(now);
        schedule::after(since, bound) <= now
    });
    if !sessions.is_empty() && !cause.is_urgent() && !is_past_bound {
        return CredentialStep::Defer {
            idle,
            cause,
            sessions,
        };
    }
    let attempt = pick::attempt(&observed.catalog, idle.login());
    CredentialStep::Replace {
        needs_fence: observed.secret.is_some() && attempt.as_deref() == Some(base.as_str()),
        ends_sessions: !sessions.is_empty() && is_past_bound,
        idle,
        cause,
        base,
    }
}

/// Whether the Secret stands as it was recorded.
fn is_untouched(observed: &Observed) -> bool {
    let version = observed
        .secret
        .as_ref()
        .map(|secret| &secret.resource_version);
    version.is_some() && observed.recorded.secret_resource_version.as_ref() == version
}

/// The published login, where the server lost it or its password while the Secret stood still. It
/// is repaired before anything else is thought of: a rotation may have to wait.
fn lost_by_server(wishes: &Wishes, observed: &Observed) -> Option<Login> {
    let login = observed.login.clone()?;
    let is_ours = wishes.logins().contains(login.as_str())
        || wishes
            .former_logins()
            .any(|pair| pair.contains(login.as_str()));
    let is_unusable = || {
        let role = observed.catalog.roles.get(login.as_str());
        role.is_none_or(|role| !role.can_login)
    };
    let is_lost = match observed.published {
        Proof::Refused => true,
        Proof::NotAsked => is_unusable(),
        Proof::Works | Proof::LogsIn => false,
    };
    (is_ours && is_lost && is_untouched(observed)).then_some(login)
}

/// Why the credential must be replaced, if it must.
fn cause(wishes: &Wishes, observed: &Observed, now: Timestamp) -> Option<Cause> {
    if observed.secret.is_none() {
        let had_one = observed.recorded.secret_resource_version.is_some()
            || observed.recorded.current_login.is_some();
        return Some(if had_one {
            Cause::SecretDeleted
        } else {
            Cause::FirstPublication
        });
    }
    let Some(login) = &observed.login else {
        return Some(Cause::SecretEdited);
    };
    if is_published_revoked(wishes, observed) {
        return Some(Cause::Revoked);
    }
    if !wishes.logins().contains(login.as_str()) {
        let is_former = wishes
            .former_logins()
            .any(|pair| pair.contains(login.as_str()));
        return Some(if is_former {
            Cause::OwnerRenamed
        } else {
            Cause::SecretEdited
        });
    }
    if observed.published == Proof::Refused {
        return Some(Cause::SecretEdited);
    }
    if let Some(nonce) = &wishes.timing.asked.rotate
        && observed.handled_nonce() != Some(nonce.as_str())
    {
        return Some(Cause::Requested);
    }
    let is_due = observed
        .rotated_at(now)
        .is_some_and(|at| schedule::due(at, wishes.timing.period, &wishes.claim.uid) <= now);
    (is_due && !wishes.timing.is_paused).then_some(Cause::Due)
}

fn sessions_of(observed: &Observed, login: &Login) -> Vec<Session> {
    observed
        .catalog
        .sessions
        .iter()
        .filter(|session| session.login == *login)
        .cloned()
        .collect()
}
