//! How many Events one object may cause: a burst, then one every few minutes, so that an object
//! which flaps fills neither the API server nor anybody's screen. Warnings have a budget of their own.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a quiet object may say at once, as client-go's recorder allows.
const BURST: u32 = 25;

/// How long it takes to regain one.
const REFILL: Duration = Duration::from_mins(5);

/// Budgets are looked through for full ones whenever there are so many more.
const SWEEP: usize = 1024;

#[derive(Default)]
pub(super) struct Budget {
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    /// When each object's budget is full again; absent is full.
    full_at: HashMap<(String, bool), Instant>,
    sweep_at: usize,
}

impl Budget {
    /// Takes one Event of the object's budget, if there is one left.
    pub(super) fn take(&self, uid: &str, is_warning: bool, now: Instant) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let Spent { full_at, sweep_at } = &mut *spent;
        if full_at.len() >= (*sweep_at).max(SWEEP) {
            full_at.retain(|_, full_at| *full_at > now);
            *sweep_at = full_at.len() + SWEEP;
        }
        let full = full_at.entry((uid.to_owned(), is_warning)).or_insert(now);
        let next = (*full).max(now) + REFILL;
        let has_some = next.duration_since(now) <= REFILL * BURST;
        if has_some {
            *full = next;
        }
        has_some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_42_a_flapping_object_is_told_of_in_a_burst_and_then_rarely() {
        let (budget, now) = (Budget::default(), Instant::now());
        let told = (0..100).filter(|_| budget.take("a", true, now)).count();
        assert_eq!(told, 25);
        assert!(budget.take("a", false, now), "normal ones are apart");
        assert!(budget.take("b", true, now), "other objects are apart");
        let later = now + REFILL;
        assert!(budget.take("a", true, later));
        assert!(!budget.take("a", true, later));
    }

    #[test]
    fn full_budgets_are_forgotten() {
        let (budget, now) = (Budget::default(), Instant::now());
        for number in 0..SWEEP {
            budget.take(&number.to_string(), true, now);
        }
        budget.take("late", true, now + REFILL * 2);
        let kept = budget.spent.lock().unwrap().full_at.len();
        assert_eq!(kept, 1);
    }
}
