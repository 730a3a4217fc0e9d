//! Turns of rotations, for servers that bound how many may begin within a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use engine::turns::Turns;

/// The turns of each server that has a bound, by name.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<String, Turns>>);

impl Paces {
    /// Lets the claim begin a rotation, or says how long it is to wait before it asks again.
    pub(crate) fn ask(
        &self,
        server: &str,
        limit: usize,
        uid: &str,
        patience: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let mut all = self.locked();
        let turns = all.entry(server.to_owned()).or_default();
        turns.ask(limit, uid, patience, now)
    }

    /// Gives up a claim's place in the queue: there is nothing to wait for any more.
    pub(crate) fn leave(&self, server: &str, uid: &str) {
        if let Some(turns) = self.locked().get_mut(server) {
            turns.leave(uid);
        }
    }

    /// How many claims wait, by server.
    pub(crate) fn waiting(&self, now: Instant) -> Vec<(String, usize)> {
        let mut all = self.locked();
        let servers = all.iter_mut().map(|(server, turns)| {
            turns.forget(now);
            (server.clone(), turns.waiting())
        });
        servers.collect()
    }

    /// Forgets servers of which a minute knows nothing.
    pub(crate) fn prune(&self, now: Instant) {
        self.locked().retain(|_, turns| {
            turns.forget(now);
            !turns.is_idle()
        });
    }

    /// A poisoned lock guards plain data that is whole between any two statements.
    fn locked(&self) -> MutexGuard<'_, HashMap<String, Turns>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_are_counted_and_then_forgotten() {
        let (paces, now) = (Paces::default(), Instant::now());
        let ask = |server, uid| paces.ask(server, 1, uid, Duration::from_mins(10), now);
        for uid in ["first", "second", "third"] {
            ask("main", uid);
        }
        assert_eq!(ask("other", "fourth"), None, "each server has its own");
        paces.leave("main", "second");
        let mut waiting = paces.waiting(now);
        waiting.sort();
        assert_eq!(waiting, [("main".to_owned(), 1), ("other".to_owned(), 0)]);
        let later = now + Duration::from_mins(5);
        paces.prune(later);
        assert_eq!(paces.waiting(later), []);
    }
}
