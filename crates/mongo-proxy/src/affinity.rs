//! Which login a command belongs to: what one login began, another may not go on with.
//!
//! A write that is sent again under another login would be applied twice, so its login is kept
//! from the first time on, also between rotations. Everything is bounded by time and number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::{Command, Lsid, Outcome};

const CAPACITY: usize = 100_000;
const CURSOR_AGE: Duration = Duration::from_hours(24);
const TRANSACTION_AGE: Duration = Duration::from_mins(2);
const WRITE_AGE: Duration = Duration::from_mins(5);

/// The generations that open work belongs to.
pub(crate) struct Affinity {
    cursors: Pins<(Arc<str>, i64)>,
    transactions: Pins<Lsid>,
    writes: Pins<(Lsid, i64)>,
}

impl Default for Affinity {
    fn default() -> Self {
        Self {
            cursors: Pins::new(CURSOR_AGE),
            transactions: Pins::new(TRANSACTION_AGE),
            writes: Pins::new(WRITE_AGE),
        }
    }
}

impl Affinity {
    /// The generation that `command` must go to; none if any will do. Cursors are the `member`'s,
    /// which is not known before the first command of a connection.
    pub(crate) fn route(&self, member: Option<&Arc<str>>, command: &Command<'_>) -> Option<u64> {
        let of_cursor = |cursor| self.cursors.get(&(Arc::clone(member?), cursor));
        let cursor = command.cursor.and_then(of_cursor);
        let killed = || command.killed().into_iter().find_map(of_cursor);
        if let Some(generation) = cursor.or_else(killed) {
            return Some(generation);
        }
        let lsid = command.lsid?;
        let open = if command.is_in_transaction {
            if command.starts_transaction {
                return None;
            }
            self.transactions.get(&lsid)
        } else {
            None
        };
        open.or_else(|| self.writes.get(&(lsid, command.txn_number?)))
    }

    /// Notes what `command` begins, before it is sent.
    pub(crate) fn sent(&mut self, command: &Command<'_>, generation: u64, now: Instant) {
        let (Some(lsid), Some(number)) = (command.lsid, command.txn_number) else {
            return;
        };
        if command.is_in_transaction {
            self.transactions.set(lsid, generation, now);
        }
        // Drivers send a commit again as well, even one that was acknowledged, if by too few.
        if !command.is_in_transaction || command.ends_transaction() {
            self.writes.set((lsid, number), generation, now);
        }
    }

    /// Notes what the answer to `command` leaves.
    pub(crate) fn answered(
        &mut self,
        member: &Arc<str>,
        command: &Command<'_>,
        outcome: &Outcome,
        generation: u64,
        now: Instant,
    ) {
        if let Some(cursor) = command.cursor
            && (outcome.code.is_some() || outcome.cursor == Some(0))
        {
            self.cursors.remove(&(Arc::clone(member), cursor));
        }
        if let Some(cursor) = outcome.cursor.filter(|cursor| *cursor != 0) {
            self.cursors
                .set((Arc::clone(member), cursor), generation, now);
        }
        if outcome.code.is_none() {
            for cursor in command.killed() {
                self.cursors.remove(&(Arc::clone(member), cursor));
            }
            if let Some(lsid) = command.lsid.filter(|_| command.ends_transaction()) {
                self.transactions.remove(&lsid);
            }
        }
    }

    /// Forgets a cursor that the proxy itself ended.
    pub(crate) fn forget_cursor(&mut self, member: &Arc<str>, cursor: i64) {
        self.cursors.remove(&(Arc::clone(member), cursor));
    }

    /// Whether a cursor or a transaction of that generation is open.
    pub(crate) fn has_open_work(&mut self, generation: u64, now: Instant) -> bool {
        self.transactions.expire(now);
        self.cursors.names(generation) || self.transactions.names(generation)
    }
}

/// Keys that belong to a generation for a while.
struct Pins<K> {
    age: Duration,
    pins: HashMap<K, (u64, Instant)>,
    /// How many there are of each generation.
    counts: HashMap<u64, usize>,
}

impl<K: Eq + Hash> Pins<K> {
    fn new(age: Duration) -> Self {
        Self {
            age,
            pins: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    fn get(&self, key: &K) -> Option<u64> {
        self.pins.get(key).map(|(generation, _)| *generation)
    }

    fn names(&self, generation: u64) -> bool {
        self.counts.get(&generation).is_some_and(|count| *count > 0)
    }

    fn set(&mut self, key: K, generation: u64, now: Instant) {
        if self.pins.len() >= CAPACITY {
            self.make_room(now);
        }
        *self.counts.entry(generation).or_default() += 1;
        if let Some((before, _)) = self.pins.insert(key, (generation, now)) {
            self.discount(before);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some((generation, _)) = self.pins.remove(key) {
            self.discount(generation);
        }
    }

    fn discount(&mut self, generation: u64) {
        if let Some(count) = self.counts.get_mut(&generation) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&generation);
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let age = self.age;
        self.retain(|since| now.saturating_duration_since(since) < age);
    }

    /// Drops what is too old; if that is not enough, the older half.
    fn make_room(&mut self, now: Instant) {
        self.expire(now);
        if self.pins.len() >= CAPACITY {
            let mut times: Vec<_> = self.pins.values().map(|(_, since)| *since).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            self.retain(|since| since > median);
        }
    }

    fn retain(&mut self, is_kept: impl Fn(Instant) -> bool) {
        self.pins.retain(|_, (_, since)| is_kept(*since));
        self.counts.clear();
        for (generation, _) in self.pins.values() {
            *self.counts.entry(*generation).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests;
