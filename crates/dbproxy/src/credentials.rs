//! Which credential is in use. One that was found becomes a candidate; a candidate is tried against
//! the server; one that works is switched to. Whatever else happens, the last good one stays.
//!
//! ```text
//! found ──> candidate ──try──> works ──switch──> current
//!               ^    refused,    ^      failed,
//!               └─── away ───────┴───── again later
//! ```
//!
//! Guarantees:
//! - Only a candidate that worked is switched to, and only a switch changes the current one.
//! - There is one piece of work at a time, and a newer credential takes the place of a candidate.
//! - A candidate that is refused is tried again, later and later, while nothing newer is found:
//!   what was wrong may be repaired at the server.
//!
//! Assumes that a switch that failed may have happened half: then even the current credential is
//! switched to again.

use std::sync::Arc;
use std::time::Duration;

/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A credential and its place in the order in which they were found, from 1.
#[derive(Debug)]
pub struct Numbered<T> {
    pub generation: u64,
    pub value: T,
}

/// What is to be done, and answered by [`Credentials::tried`] or [`Credentials::switched`].
#[derive(Debug)]
pub enum Work<T> {
    /// Log in with this credential.
    Try(Arc<Numbered<T>>),
    /// Make PgBouncer use this credential.
    Switch(Arc<Numbered<T>>),
}

impl<T> Clone for Work<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Try(numbered) => Self::Try(Arc::clone(numbered)),
            Self::Switch(numbered) => Self::Switch(Arc::clone(numbered)),
        }
    }
}

/// What now?
#[derive(Debug)]
pub enum Next<T> {
    Work(Work<T>),
    /// Nothing before this instant, unless a credential is found.
    WaitUntil(Duration),
    /// Nothing, until a credential is found or the work under way is answered.
    Idle,
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Works,
    /// The server does not take it.
    Refused,
    /// Nobody could be asked.
    Unavailable,
}

/// How a switch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    Done,
    Failed,
}

/// Instants are durations since some start that only the caller knows.
#[derive(Debug)]
pub struct Credentials<T> {
    found: u64,
    current: Option<Arc<Numbered<T>>>,
    candidate: Option<Candidate<T>>,
    under_way: Option<Work<T>>,
    /// A switch was begun and has not ended well, so what PgBouncer uses is not certain.
    is_unsettled: bool,
    refusals: u64,
}

#[derive(Debug)]
struct Candidate<T> {
    numbered: Arc<Numbered<T>>,
    has_worked: bool,
    last_verdict: Option<Verdict>,
    failures: u32,
    not_before: Duration,
}

impl<T> Default for Credentials<T> {
    fn default() -> Self {
        Self {
            found: 0,
            current: None,
            candidate: None,
            under_way: None,
            is_unsettled: false,
            refusals: 0,
        }
    }
}

impl<T: PartialEq> Credentials<T> {
    /// The file holds `value` now.
    pub fn found(&mut self, value: T) {
        let is_value = |numbered: &Arc<Numbered<T>>| numbered.value == value;
        if self
            .candidate
            .as_ref()
            .is_some_and(|candidate| is_value(&candidate.numbered))
        {
            return;
        }
        if !self.is_unsettled && self.current.as_ref().is_some_and(is_value) {
            self.candidate = None;
            return;
        }
        self.found += 1;
        self.candidate = Some(Candidate {
            numbered: Arc::new(Numbered {
                generation: self.found,
                value,
            }),
            has_worked: false,
            last_verdict: None,
            failures: 0,
            not_before: Duration::ZERO,
        });
    }
}

impl<T> Credentials<T> {
    /// What to do at `now`. Work that is handed out is under way until it is answered.
    pub fn next(&mut self, now: Duration) -> Next<T> {
        let (None, Some(candidate)) = (&self.under_way, &self.candidate) else {
            return Next::Idle;
        };
        if now < candidate.not_before {
            return Next::WaitUntil(candidate.not_before);
        }
        let numbered = Arc::clone(&candidate.numbered);
        let work = if candidate.has_worked {
            self.is_unsettled = true;
            Work::Switch(numbered)
        } else {
            Work::Try(numbered)
        };
        self.under_way = Some(work.clone());
        Next::Work(work)
    }

    /// Answers [`Work::Try`].
    pub fn tried(&mut self, verdict: Verdict, now: Duration) {
        let Some(Work::Try(tried)) = self.under_way.take_if(|work| matches!(work, Work::Try(_)))
        else {
            return;
        };
        if verdict == Verdict::Refused {
            self.refusals += 1;
        }
        // Something newer may have been found meanwhile.
        if let Some(candidate) = self.candidate_of(&tried) {
            candidate.last_verdict = Some(verdict);
            match verdict {
                Verdict::Works => candidate.has_worked = true,
                Verdict::Refused | Verdict::Unavailable => candidate.failed(now),
            }
        }
    }

    /// Answers [`Work::Switch`].
    pub fn switched(&mut self, switched: Switched, now: Duration) {
        let Some(Work::Switch(target)) = self
            .under_way
            .take_if(|work| matches!(work, Work::Switch(_)))
        else {
            return;
        };
        match switched {
            Switched::Done => {
                self.is_unsettled = false;
                if self.candidate_of(&target).is_some() {
                    self.candidate = None;
                }
                self.current = Some(target);
            }
            Switched::Failed => {
                if let Some(candidate) = self.candidate_of(&target) {
                    candidate.failed(now);
                }
            }
        }
    }

    /// The last good credential. Once there is one, there always is.
    pub fn current(&self) -> Option<&Arc<Numbered<T>>> {
        self.current.as_ref()
    }

    /// The credential that is not in use yet, and how its last try ended.
    pub fn candidate(&self) -> Option<(u64, Option<Verdict>)> {
        let candidate = self.candidate.as_ref()?;
        Some((candidate.numbered.generation, candidate.last_verdict))
    }

    /// How often a server refused a candidate.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    fn candidate_of(&mut self, numbered: &Arc<Numbered<T>>) -> Option<&mut Candidate<T>> {
        let candidate = self.candidate.as_mut()?;
        (candidate.numbered.generation == numbered.generation).then_some(candidate)
    }
}

impl<T> Candidate<T> {
    fn failed(&mut self, now: Duration) {
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.not_before = now.saturating_add(doubled.min(LONGEST_PAUSE));
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
