//! What becomes of the published credential: kept, repaired, or replaced by the other login.

use jiff::Timestamp;

use crate::{
    catalog::Session,
    names::Login,
    observed::{Observed, Proof},
    rotation::{
        Cause,
        pick::{self, Idle, NO_SECRET, Published},
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
        /// The version of the Secret that the attempt is based on, or [`NO_SECRET`].
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
    let published = observed.published_login();
    let Some(cause) = cause(wishes, observed, published.as_ref(), now) else {
        return match published {
            Some(login) if observed.published == Proof::Refused => {
                CredentialStep::Restore { login }
            }
            _ => CredentialStep::Keep,
        };
    };
    let pair = wishes.logins();
    let known = match &published {
        Some(login) => Published::Named(login),
        None => Published::Remembered(observed.recorded.current_login.as_deref()),
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
    let base = observed.secret.as_ref().map_or_else(
        || NO_SECRET.to_owned(),
        |secret| secret.resource_version.clone(),
    );
    let attempt = pick::attempt(&observed.catalog, idle.login());
    CredentialStep::Replace {
        needs_fence: observed.secret.is_some() && attempt.as_deref() == Some(base.as_str()),
        ends_sessions: !sessions.is_empty() && is_past_bound,
        idle,
        cause,
        base,
    }
}

/// Why the credential must be replaced, if it must.
fn cause(
    wishes: &Wishes,
    observed: &Observed,
    published: Option<&Login>,
    now: Timestamp,
) -> Option<Cause> {
    let Some(secret) = &observed.secret else {
        let had_one = observed.recorded.secret_resource_version.is_some()
            || observed.recorded.current_login.is_some();
        return Some(if had_one {
            Cause::SecretDeleted
        } else {
            Cause::FirstPublication
        });
    };
    let Some(login) = published else {
        return Some(Cause::SecretEdited);
    };
    let pair = wishes.logins();
    if !pair.contains(login.as_str()) {
        let is_former = wishes
            .former_logins()
            .any(|pair| pair.contains(login.as_str()));
        return Some(if is_former {
            Cause::OwnerRenamed
        } else {
            Cause::SecretEdited
        });
    }
    let is_untouched =
        observed.recorded.secret_resource_version.as_ref() == Some(&secret.resource_version);
    if observed.published == Proof::Refused && !is_untouched {
        return Some(Cause::SecretEdited);
    }
    if let Some(nonce) = &wishes.timing.nonce
        && observed.handled_nonce() != Some(nonce.as_str())
    {
        return Some(Cause::Requested);
    }
    let is_due = observed
        .rotated_at()
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
