//! A bound on how much happens at once, which may change while it is in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

#[derive(Debug)]
pub struct Bound {
    permits: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    size: usize,
    /// Places that are still taken and go away when they are given back.
    excess: usize,
}

/// One place within the bound; free again when dropped.
#[derive(Debug)]
pub struct Place {
    bound: Arc<Bound>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Bound {
    pub fn new(size: u16) -> Self {
        let size = usize::from(size.max(1));
        Self {
            permits: Arc::new(Semaphore::new(size)),
            state: Mutex::new(State { size, excess: 0 }),
        }
    }

    /// Grows at once; shrinks as places become free. Nobody is sent away.
    pub fn resize(&self, size: u16) {
        let size = usize::from(size.max(1));
        let mut state = self.state();
        if size > state.size {
            let more = size - state.size;
            let spared = more.min(state.excess);
            state.excess -= spared;
            self.permits.add_permits(more - spared);
        } else {
            let fewer = state.size - size;
            state.excess += fewer - self.permits.forget_permits(fewer);
        }
        state.size = size;
    }

    /// Waits for a place.
    pub async fn enter(self: &Arc<Self>) -> Result<Place, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        // The semaphore is never closed.
        let permit = permit.map_err(|_| Error::Stopping)?;
        Ok(Place {
            bound: Arc::clone(self),
            permit: Some(permit),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.bound.state();
        if let (Some(permit), true) = (self.permit.take(), state.excess > 0) {
            state.excess -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn try_enter(bound: &Arc<Bound>) -> Option<Place> {
        bound.enter().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn a_bound_changes_while_its_places_are_taken() {
        let bound = Arc::new(Bound::new(3));
        let mut taken: Vec<_> = (0..3).filter_map(|_| try_enter(&bound)).collect();
        assert!(taken.len() == 3 && try_enter(&bound).is_none());
        bound.resize(1);
        taken.truncate(1);
        assert!(try_enter(&bound).is_none(), "one place, and it is taken");
        bound.resize(2);
        let second = try_enter(&bound);
        assert!(second.is_some() && try_enter(&bound).is_none());
        taken.clear();
        assert!(try_enter(&bound).is_some());
    }

    #[test]
    fn a_bound_that_grows_again_before_it_shrank_is_as_before() {
        let bound = Arc::new(Bound::new(2));
        let taken: Vec<_> = (0..2).filter_map(|_| try_enter(&bound)).collect();
        bound.resize(1);
        bound.resize(2);
        drop(taken);
        let again: Vec<_> = (0..3).filter_map(|_| try_enter(&bound)).collect();
        assert_eq!(again.len(), 2);
    }
}
