//! What is recorded of a credential, and when it is looked at again: the same for both kinds of
//! claims.

use std::time::Duration;

use api::{
    claim::RotationStatus,
    conditions::{self, Type, reason},
};
use engine::{schedule, wishes::Wishes};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

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

/// What condition `Drifted` says now and did not say before.
pub(crate) fn news_of_drift(before: &[Condition], after: &[Condition]) -> Option<String> {
    let said = |all| conditions::find(all, Type::Drifted).map(|it: &Condition| &it.message);
    let now = said(after);
    now.filter(|_| now != said(before)).cloned()
}

/// Whether status says of a claim that something differs. Such a claim is looked at whole in every
/// pass, or what a pass did not look at would seem to be gone.
pub(crate) fn is_drifted(conditions: &[Condition]) -> bool {
    conditions::is_true(conditions, Type::Drifted)
}

/// Whether all that the spec asks for was carried out once: what fails later changes nothing in it.
pub(crate) fn is_carried_out(conditions: &[Condition], generation: Option<i64>) -> bool {
    let synced = conditions::find(conditions, Type::Synced);
    synced.is_some_and(|it| it.status == "True" && it.observed_generation == generation)
}
