//! How much memory the frames of all connections may take together: large ones wait their turn.
//!
//! Requests and answers have a half each: whoever holds a request waits for its answer, which
//! must find room. A turn that does not come is not waited for for ever: an application may leave
//! an answer unread until it has another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of a budget, so that its number fits in a count of permits.
const UNIT: usize = 1024;

/// Smaller frames are not counted: they are many, and together little.
const SMALL: usize = 256 * 1024;

/// How long a frame waits for its turn. Drivers and servers both wait longer than that.
const PATIENCE: Duration = Duration::from_secs(10);

/// The room for requests, and the one for answers.
pub(crate) struct Budget {
    pub(crate) requests: Room,
    pub(crate) answers: Room,
}

impl Budget {
    /// Of so many bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            requests: Room::new(bytes / 2, PATIENCE),
            answers: Room::new(bytes / 2, PATIENCE),
        }
    }
}

/// Clones share their room.
#[derive(Clone)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    units: usize,
    patience: Duration,
}

/// What a frame occupies until it is dropped.
pub(crate) type Place = Option<OwnedSemaphorePermit>;

impl Room {
    fn new(bytes: usize, patience: Duration) -> Self {
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(units)),
            units,
            patience,
        }
    }

    /// Waits until a frame of so many bytes has room. One that is larger than all of it is alone.
    pub(crate) async fn take(&self, bytes: usize) -> Place {
        if bytes <= SMALL {
            return None;
        }
        let units = bytes.div_ceil(UNIT).min(self.units);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        if let Ok(now) = Arc::clone(&self.free).try_acquire_many_owned(units) {
            return Some(now);
        }
        let turn = Arc::clone(&self.free).acquire_many_owned(units);
        let turn = tokio::time::timeout(self.patience, turn).await;
        turn.ok().and_then(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn large_frames_wait_for_their_turn_and_small_ones_do_not() {
        let Budget { requests, answers } = Budget::new(8 << 20);
        let first = requests.take(3 << 20).await;
        let mut alone = std::pin::pin!(requests.take(48 << 20));
        assert!(alone.as_mut().now_or_never().is_none());
        assert!(requests.take(SMALL).now_or_never().is_some());
        assert!(answers.take(4 << 20).now_or_never().is_some());
        drop(first);
        let alone = alone.now_or_never();
        assert!(alone.is_some_and(|place| place.is_some()));
        assert_eq!(requests.free.available_permits(), requests.units);
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_is_not_waited_for_for_ever() {
        let room = Room::new(4 << 20, Duration::from_millis(1));
        let unread = room.take(4 << 20).await;
        assert!(room.take(1 << 20).await.is_none());
        drop(unread);
        assert!(room.take(1 << 20).await.is_some());
    }
}
