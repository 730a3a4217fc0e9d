//! The controller's own logins that a server refused: it proves published credentials, and one
//! whose password was changed by hand is refused in the log like any other.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use engine::{names::Login, tripwire::Attempt};
use jiff::Timestamp;

/// Far more than are refused between two looks at a log.
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub struct OwnRefusals(Mutex<VecDeque<(Login, Timestamp)>>);

impl OwnRefusals {
    pub fn note(&self, login: &Login, at: Timestamp) {
        let mut all = self.all();
        all.truncate(MOST - 1);
        all.push_front((login.clone(), at));
    }

    /// Whether the attempt was the controller's own.
    pub fn explain(&self, attempt: &Attempt) -> bool {
        self.all()
            .iter()
            .any(|(login, at)| attempt.is_of(login, *at))
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<(Login, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_to_us_is_not_taken_for_somebody_elses() {
        let (refusals, now) = (OwnRefusals::default(), Timestamp::UNIX_EPOCH);
        let attempt = |login| Attempt::parse(now, login, None, None).unwrap();
        refusals.note(&Login::try_from("clerk_a").unwrap(), now);
        assert!(refusals.explain(&attempt("clerk_a")));
        assert!(!refusals.explain(&attempt("clerk_b")));
        let other = Login::try_from("till_a").unwrap();
        (0..MOST).for_each(|_| refusals.note(&other, now));
        assert!(!refusals.explain(&attempt("clerk_a")), "it is bounded");
    }
}
