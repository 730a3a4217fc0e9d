//! Whether a claim has anything to do now, from what is cached and recorded alone: the reason why
//! an unchanged claim costs no request and no connection, after a restart too.

use std::time::Duration;

use jiff::Timestamp;

use crate::{schedule, wishes::Timing};

/// What is known of a claim without asking anybody.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    pub uid: &'a str,
    pub timing: &'a Timing,
    /// Whether status says Ready for the claim's present generation, on the server's present address.
    pub is_settled: bool,
    /// `resourceVersion` of the Secret in the cache; `None` where there is none.
    pub secret_version: Option<&'a str>,
    pub recorded_version: Option<&'a str>,
    pub rotated_at: Option<Timestamp>,
    pub handled_nonce: Option<&'a str>,
    /// Number of the published credential.
    pub generation: i64,
    /// The newest credential whose revocation is complete.
    pub revoked: Option<i64>,
    /// What status says of things that are asked for and ignored.
    pub ignored: Option<&'a str>,
    /// The question that was answered last.
    pub inspected: Option<&'a str>,
    /// Whether logins wait for the end of their overlap.
    pub has_previous: bool,
    pub check_every: Duration,
    /// When this process last proved the credential.
    pub checked_at: Option<Timestamp>,
    /// When this process started: instants before it were somebody else's.
    pub started_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agenda {
    /// Nothing before this instant.
    Idle { until: Timestamp },
    /// The server must be asked. `checks` says whether that includes what only drift would change:
    /// a login with the published credential, and the rights in an adopted database.
    Work { checks: bool },
}

pub fn agenda(known: &Known<'_>, now: Timestamp) -> Agenda {
    let is_untouched =
        known.secret_version.is_some() && known.secret_version == known.recorded_version;
    let (Some(rotated_at), true, true) = (known.rotated_at, known.is_settled, is_untouched) else {
        return Agenda::Work { checks: true };
    };
    let checked = known.checked_at.unwrap_or(known.started_at);
    let check = schedule::next_check(checked, known.check_every, known.uid);
    if check <= now {
        return Agenda::Work { checks: true };
    }
    let asked = &known.timing.asked;
    let is_new = |asked: &Option<String>, done| asked.is_some() && asked.as_deref() != done;
    let is_requested = is_new(&asked.rotate, known.handled_nonce)
        || is_new(&asked.inspect, known.inspected)
        || asked.revoked(known.generation) > known.revoked
        || asked
            .refused_revocation(known.generation)
            .is_some_and(|text| !known.ignored.is_some_and(|told| told.contains(&text)));
    let due = schedule::due(rotated_at, known.timing.period, known.uid);
    let is_due = due <= now && !known.timing.is_paused;
    let overlap_end = known.has_previous.then(|| {
        schedule::after(
            rotated_at,
            known.timing.overlap.unwrap_or(known.timing.period),
        )
    });
    let is_overlap_over = overlap_end.is_some_and(|end| end <= now);
    if is_requested || is_due || is_overlap_over {
        return Agenda::Work { checks: false };
    }
    let due = (!known.timing.is_paused).then_some(due);
    let until = [Some(check), due, overlap_end]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(check);
    Agenda::Idle { until }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asked::Asked;

    fn timing() -> Timing {
        Timing {
            period: Duration::from_hours(1),
            overlap: None,
            max_overlap: None,
            is_paused: false,
            asked: Asked::default(),
        }
    }

    fn known(timing: &Timing) -> Known<'_> {
        let made = Timestamp::from_second(1_000_000).unwrap();
        Known {
            uid: "u",
            timing,
            is_settled: true,
            secret_version: Some("7"),
            recorded_version: Some("7"),
            rotated_at: Some(made),
            handled_nonce: None,
            generation: 3,
            revoked: None,
            ignored: None,
            inspected: None,
            has_previous: false,
            check_every: Duration::from_mins(10),
            checked_at: None,
            started_at: made,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn row_84_a_settled_claim_has_nothing_to_do_right_after_a_restart() {
        let timing = timing();
        let now = at(1_002_000);
        let known = Known {
            started_at: now,
            ..known(&timing)
        };
        assert!(matches!(agenda(&known, now), Agenda::Idle { until } if until > now));
    }

    #[test]
    fn an_edited_or_deleted_secret_is_looked_at_and_proved() {
        let timing = timing();
        for secret_version in [Some("8"), None] {
            let known = Known {
                secret_version,
                ..known(&timing)
            };
            assert_eq!(agenda(&known, at(1_000_001)), Agenda::Work { checks: true });
        }
    }

    #[test]
    fn row_14_what_was_due_while_we_were_away_is_due_now_unless_paused() {
        let timing = timing();
        let now = at(1_009_000);
        let due = Known {
            started_at: now,
            ..known(&timing)
        };
        assert_eq!(agenda(&due, now), Agenda::Work { checks: false });
        let paused = Timing {
            is_paused: true,
            ..timing.clone()
        };
        let paused = Known {
            timing: &paused,
            ..due
        };
        assert!(matches!(agenda(&paused, now), Agenda::Idle { .. }));
    }

    #[test]
    fn row_17_a_new_nonce_is_work_and_a_handled_one_is_not() {
        let timing = Timing {
            asked: Asked {
                rotate: Some("n1".to_owned()),
                ..Asked::default()
            },
            ..timing()
        };
        assert_eq!(
            agenda(&known(&timing), at(1_000_001)),
            Agenda::Work { checks: false }
        );
        let handled = Known {
            handled_nonce: Some("n1"),
            ..known(&timing)
        };
        assert!(matches!(
            agenda(&handled, at(1_000_001)),
            Agenda::Idle { .. }
        ));
    }

    #[test]
    fn a_revocation_and_a_question_are_work_until_they_are_done() {
        let timing = Timing {
            asked: Asked {
                revoke: Some("3".to_owned()),
                inspect: Some("q1".to_owned()),
                ..Asked::default()
            },
            ..timing()
        };
        for (revoked, inspected, is_work) in [
            (None, Some("q1"), true),
            (Some(2), Some("q1"), true),
            (Some(3), Some("q0"), true),
            (Some(3), Some("q1"), false),
            (Some(9), Some("q1"), false),
        ] {
            let known = Known {
                revoked,
                inspected,
                ..known(&timing)
            };
            let found = agenda(&known, at(1_000_001));
            assert_eq!(
                found == (Agenda::Work { checks: false }),
                is_work,
                "{known:?}"
            );
        }
    }
}
