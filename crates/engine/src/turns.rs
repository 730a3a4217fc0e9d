//! Turns within a budget of so many a minute: in the order in which they were asked for, and exact,
//! for no minute sees more, wherever it begins. Pure: instants come in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_mins(1);

/// What the last minute saw, and who waits.
#[derive(Debug, Default)]
pub struct Turns {
    /// When somebody had a turn, the oldest first.
    begun: VecDeque<Instant>,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    uid: String,
    /// When it was told to ask again.
    returns: Instant,
}

impl Turns {
    /// Gives `uid` its turn, or says how long it is to wait, at most `patience`, before it asks
    /// again. It keeps its place in the queue until a minute after that.
    pub fn ask(
        &mut self,
        limit: usize,
        uid: &str,
        patience: Duration,
        now: Instant,
    ) -> Option<Duration> {
        self.forget(now);
        let queued = self.queue.iter().position(|waiter| waiter.uid == uid);
        let place = queued.unwrap_or(self.queue.len());
        // Who waits longer has its turn, if it comes now or a moment later.
        if self.begun.len() + place < limit {
            queued.and_then(|place| self.queue.remove(place));
            self.begun.push_back(now);
            return None;
        }
        let wait = self.until(place, limit, now).min(patience);
        let returns = now + wait;
        match self.queue.get_mut(place) {
            Some(waiter) => waiter.returns = returns,
            None => self.queue.push_back(Waiter {
                uid: uid.to_owned(),
                returns,
            }),
        }
        Some(wait)
    }

    /// Gives up a place in the queue: there is nothing to wait for any more.
    pub fn leave(&mut self, uid: &str) {
        self.queue.retain(|waiter| waiter.uid != uid);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is left to remember.
    pub fn is_idle(&self) -> bool {
        self.begun.is_empty() && self.queue.is_empty()
    }

    /// Until so many turns are a minute old that everybody up to `place` can have had one.
    fn until(&self, place: usize, limit: usize, now: Instant) -> Duration {
        let over = (self.begun.len() + place).saturating_sub(limit);
        let minutes = u32::try_from(over / limit.max(1)).unwrap_or(u32::MAX);
        let oldest = self.begun.get(over % limit.max(1)).copied();
        let free = MINUTE.saturating_sub(now.duration_since(oldest.unwrap_or(now)));
        free.saturating_add(MINUTE.saturating_mul(minutes))
    }

    /// Forgets what is older than a minute, and who was to return and did not: it is gone, paused or
    /// has trouble of its own.
    pub fn forget(&mut self, now: Instant) {
        let is_recent = |at: &Instant| now.duration_since(*at) < MINUTE;
        self.begun.retain(is_recent);
        self.queue.retain(|waiter| is_recent(&waiter.returns));
    }
}

#[cfg(test)]
mod tests;
