//! When things are due. Persisted times and the claim's UID are all that goes in, so a restart
//! changes nothing, and claims made together do not rotate together.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// FNV-1a, 64 bits: stable across versions, which the standard hasher is not.
pub fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A part of `span` that is always the same for one UID, spread evenly over UIDs.
pub fn stable_part(uid: &str, span: Duration) -> Duration {
    let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(stable_hash(uid) % span)
}

/// When a credential made at `rotated_at` is due: a period later, and up to a tenth of it more.
pub fn due(rotated_at: Timestamp, period: Duration, uid: &str) -> Timestamp {
    after(
        rotated_at,
        period.saturating_add(stable_part(uid, period / 10)),
    )
}

/// The first instant after `now` at which the published credential is proved by logging in. The
/// instants are fixed on the clock for each claim, so a restart neither adds nor loses one.
pub fn next_check(now: Timestamp, every: Duration, uid: &str) -> Timestamp {
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
    let phase = i64::try_from(stable_part(uid, every).as_millis()).unwrap_or(0);
    let since = (now.as_millisecond() - phase).rem_euclid(every_ms);
    let wait = u64::try_from(every_ms - since).unwrap_or(1);
    after(now, Duration::from_millis(wait))
}

/// The pause before a wait that began at `since` is looked at again: soon at first, for what is
/// about to end by itself, then more and more seldom, at most every 30 seconds.
pub fn patience(since: Timestamp, now: Timestamp) -> Duration {
    (until(since, now) / 2).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

/// `at + span`, at the end of time where that is past it.
pub fn after(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| at.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The time from `now` to `at`, zero where that is past.
pub fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// Up to a fifth more, always the same for one claim.
pub fn jittered(wait: Duration, uid: &str) -> Duration {
    wait + stable_part(uid, wait / 5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn row_14_every_claim_always_has_its_next_appointment(
            second in 0i64..4_000_000_000, minutes in 1u64..100_000, uid in "[0-9a-f-]{36}",
        ) {
            let rotated = Timestamp::from_second(second).unwrap();
            let period = Duration::from_secs(minutes * 60);
            let due = due(rotated, period, &uid);
            prop_assert!(due >= after(rotated, period));
            prop_assert!(due <= after(rotated, period + period / 10));
            let next = next_check(rotated, period, &uid);
            prop_assert!(next > rotated && next <= after(rotated, period));
            // Asked again just before, it names the same instant: a restart skips none.
            let before = next.checked_sub(SignedDuration::from_millis(1)).unwrap();
            prop_assert_eq!(next_check(before, period, &uid), next);
        }
    }

    #[test]
    fn row_16_claims_made_together_do_not_rotate_together() {
        let made = Timestamp::from_second(1_000_000).unwrap();
        let times: std::collections::BTreeSet<_> = (0..100)
            .map(|n| due(made, Duration::from_hours(1), &format!("uid-{n}")).as_second())
            .collect();
        assert!(times.len() > 70, "{} distinct seconds", times.len());
    }
}
