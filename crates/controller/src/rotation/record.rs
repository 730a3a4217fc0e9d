//! What is recorded of a credential, and when it is looked at again: the same for both kinds of
//! claims.

use std::time::Duration;

use api::{claim::RotationStatus, conditions::reason};
use engine::{schedule, wishes::Wishes};
use jiff::Timestamp;

use super::{Deferred, Published, Retired, Throttled, addresses};

/// How often the sessions that hold a login past its overlap are counted.
const LONG_SESSIONS: Duration = Duration::from_secs(30);

/// When something is due.
pub(crate) struct Times {
    /// When the rotation timer fires; `None` while it is paused.
    pub due: Option<Timestamp>,
    pub next: Option<Timestamp>,
}

impl Times {
    pub(crate) fn of(
        wishes: &Wishes,
        published: &Published,
        retired: &Retired,
        now: Timestamp,
    ) -> Self {
        let due = schedule::due(
            published.rotated_at,
            wishes.timing.period,
            &wishes.claim.uid,
        );
        let due = (!wishes.timing.is_paused).then_some(due);
        let again = published.pause(now);
        let again = again.or_else(|| retired.is_waiting.then_some(LONG_SESSIONS));
        let next = again.map(|pause| schedule::after(now, pause)).or(due);
        Self {
            due,
            next: [next, retired.next].into_iter().flatten().min(),
        }
    }
}

/// `status.rotation`, from what it was and what is published now.
pub(crate) fn rotation(
    before: Option<&RotationStatus>,
    published: &Published,
    retired: &Retired,
    due: Option<Timestamp>,
) -> RotationStatus {
    let before = before.cloned().unwrap_or_default();
    let previous = published.stored.previous_login().map(str::to_owned);
    let is_retired = |login: &String| retired.logins.contains(login);
    let was_retired = before.previous_login.is_none()
        && before.current_login.as_deref() == Some(published.login.as_str());
    RotationStatus {
        generation: published.stored.generation(),
        current_login: Some(published.login.to_string()),
        previous_login: previous.filter(|login| !is_retired(login) && !was_retired),
        last_rotation_at: Some(published.rotated_at),
        next_rotation_at: due,
        deferred_since: published.deferred.as_ref().map(|deferred| deferred.since),
        handled_nonce: published
            .stored
            .handled_nonce()
            .map(str::to_owned)
            .or(before.handled_nonce),
        revocation: retired.revocation.clone().or(before.revocation),
        secret_resource_version: Some(published.stored.resource_version.clone()),
    }
}

/// What condition `Rotating` says of a rotation that waits.
pub(crate) fn rotating(published: &Published) -> Option<(&'static str, String)> {
    let throttled = published.throttled.as_ref().map(throttled);
    published.deferred.as_ref().map(deferred).or(throttled)
}

/// Without a time: it moves with those who wait before it.
fn throttled(throttled: &Throttled) -> (&'static str, String) {
    let Throttled {
        cause,
        server,
        limit,
        until: _,
    } = throttled;
    let message = format!(
        "{}; it waits for its turn: server {server} lets {limit} rotations a minute begin (quotas.maxRotationsPerMinute)",
        cause.sentence()
    );
    (reason::THROTTLED, message)
}

fn deferred(deferred: &Deferred) -> (&'static str, String) {
    let Deferred {
        login,
        cause,
        sessions,
        since,
    } = deferred;
    // No count: it changes with every look, and each change would be a write.
    let message = format!(
        "{}; it waits since {since} for the live sessions of login {login} from {}",
        cause.sentence(),
        addresses(sessions)
    );
    (reason::DEFERRED, message)
}

/// What condition `Paused` says.
pub(crate) fn paused() -> (&'static str, String) {
    (
        reason::PAUSED,
        "rotation.paused is true: the timer stands still".to_owned(),
    )
}
