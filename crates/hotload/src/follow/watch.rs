//! Hands versions from the one follower to everybody who watches.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::Refusal;

/// Contents that were valid.
#[derive(Debug)]
pub struct Version<T> {
    /// Counts from 1 since the follower was made; without gaps, but a slow [`Watch`] skips some.
    pub generation: u64,
    /// What the validation made of the contents.
    pub value: T,
    /// When the file was written, as far as the file system knows.
    pub modified: Option<SystemTime>,
}

/// The follower has ended, so there will be no other version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file is no longer followed")]
pub struct Ended;

/// The last version of a followed file. Clones are independent of each other.
#[derive(Debug)]
pub struct Watch<T> {
    receiver: watch::Receiver<State<T>>,
    /// The generation that [`Watch::next`] returned last.
    seen: u64,
}

impl<T> Clone for Watch<T> {
    fn clone(&self) -> Self {
        Self {
            receiver: self.receiver.clone(),
            seen: self.seen,
        }
    }
}

impl<T> Watch<T> {
    /// The last version, or none as long as the file was never valid.
    pub fn current(&self) -> Option<Arc<Version<T>>> {
        self.receiver.borrow().version.clone()
    }

    /// Why the file's present contents are not the current version; none if they are.
    pub fn refusal(&self) -> Option<Arc<Refusal>> {
        self.receiver.borrow().refusal.clone()
    }

    /// Waits for a version that this method did not return yet, and returns the newest.
    /// May be dropped at any time without losing one.
    ///
    /// # Errors
    /// [`Ended`] after the follower's end, once its last version was returned.
    pub async fn next(&mut self) -> Result<Arc<Version<T>>, Ended> {
        let seen = self.seen;
        let state = self
            .receiver
            .wait_for(|state| state.generation() > seen)
            .await
            .map_err(|_| Ended)?;
        let version = state.version.clone().ok_or(Ended)?;
        self.seen = version.generation;
        Ok(version)
    }
}

#[derive(Debug)]
struct State<T> {
    version: Option<Arc<Version<T>>>,
    refusal: Option<Arc<Refusal>>,
}

impl<T> State<T> {
    fn generation(&self) -> u64 {
        self.version
            .as_ref()
            .map_or(0, |version| version.generation)
    }
}

/// The follower's end.
pub(super) struct Publisher<T>(watch::Sender<State<T>>);

pub(super) fn channel<T>() -> (Publisher<T>, Watch<T>) {
    let (sender, receiver) = watch::channel(State {
        version: None,
        refusal: None,
    });
    (Publisher(sender), Watch { receiver, seen: 0 })
}

impl<T> Publisher<T> {
    /// Makes `value` the current version, and returns its generation.
    pub(super) fn publish(&self, value: T, modified: Option<SystemTime>) -> u64 {
        let generation = self.0.borrow().generation() + 1;
        self.0.send_replace(State {
            version: Some(Arc::new(Version {
                generation,
                value,
                modified,
            })),
            refusal: None,
        });
        generation
    }

    /// The file holds the current version.
    pub(super) fn confirm(&self) {
        self.0
            .send_if_modified(|state| state.refusal.take().is_some());
    }

    /// The file holds something else than the current version. False if that was known.
    pub(super) fn refuse(&self, refusal: Refusal) -> bool {
        self.0.send_if_modified(|state| {
            let known = state.refusal.as_ref().map(|refusal| refusal.reason());
            let is_news = known.is_none_or(|known| known != refusal.reason());
            if is_news {
                state.refusal = Some(Arc::new(refusal));
            }
            is_news
        })
    }

    /// Ends when nobody watches any more.
    pub(super) async fn abandoned(&self) {
        self.0.closed().await;
    }
}
