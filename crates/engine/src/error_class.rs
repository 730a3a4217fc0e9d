//! The one table from which retries, condition reasons, Event reasons and metric labels follow.

use std::time::Duration;

/// What kind of trouble an error is, and so what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
pub enum ErrorClass {
    /// The object or the configuration is wrong: waits for a change of it.
    InvalidSpec,
    /// A right is missing, or a policy does not admit the namespace.
    Forbidden,
    /// Somebody else must act first: live sessions, a quota, a foreign object.
    Blocked,
    /// Somebody wrote in between: observe again at once.
    Conflict,
    /// A server or the API server does not answer.
    Unavailable,
    /// Anything else that may pass.
    Transient,
    /// An invariant of ours failed.
    Bug,
}

impl ErrorClass {
    /// The reason written in conditions, Events and metric labels.
    pub fn reason(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::Forbidden => "Forbidden",
            Self::Blocked => "Blocked",
            Self::Conflict => "Conflict",
            Self::Unavailable => "Unavailable",
            Self::Transient => "Retrying",
            Self::Bug => "InternalError",
        }
    }

    /// How long to wait before attempt `attempt` (1 for the first retry), before jitter.
    /// `None` waits for a change of the object.
    pub fn retry_after(self, attempt: u32) -> Option<Duration> {
        let exponential = || {
            let seconds = 1u64 << attempt.saturating_sub(1).min(9);
            Duration::from_secs(seconds.min(300))
        };
        match self {
            Self::InvalidSpec => None,
            Self::Bug => Some(Duration::from_mins(5)),
            // An admin's new password must be seen soon; nobody tells us that a Secret which is
            // not ours has changed.
            Self::Forbidden => Some((exponential() * 5).min(Duration::from_mins(5))),
            Self::Blocked => Some(Duration::from_secs(30)),
            Self::Conflict if attempt <= 3 => Some(Duration::from_millis(50)),
            Self::Conflict | Self::Unavailable | Self::Transient => Some(exponential()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check B 10 of MongoDB: a role that is missing is asked for less than five times a minute.
    #[test]
    fn what_only_people_can_mend_is_asked_seldom() {
        for attempt in 1..100 {
            let pause = ErrorClass::Blocked.retry_after(attempt);
            assert!(pause >= Some(Duration::from_secs(15)));
        }
        assert_eq!(ErrorClass::InvalidSpec.retry_after(1), None);
    }

    #[test]
    fn a_wrong_object_waits_for_a_change_and_nothing_else_waits_for_ever() {
        assert_eq!(ErrorClass::InvalidSpec.retry_after(1), None);
        for class in [
            ErrorClass::Forbidden,
            ErrorClass::Blocked,
            ErrorClass::Unavailable,
        ] {
            assert!(class.retry_after(1).is_some());
            assert!(class.retry_after(u32::MAX) <= Some(Duration::from_mins(5)));
        }
    }
}
