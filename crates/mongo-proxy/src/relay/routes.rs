//! Finds or makes the connection that a command must go to, and lets go of those without work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{End, Relay, while_there};
use crate::credential::Generation;
use crate::metrics::{Counted, LoginResult};
use crate::upstream::{Error, Refused, Upstream};

/// How long between attempts with a credential that was refused: some servers learn late.
pub(super) const RETRY: Duration = Duration::from_secs(15);

impl Relay {
    /// The place of a connection for what needs no login.
    pub(super) async fn any(&mut self) -> Result<usize, End> {
        if self.upstreams.is_empty() {
            let upstream = self.open().await?;
            self.upstreams.push(upstream);
        }
        Ok(self.upstreams.len() - 1)
    }

    /// The place of a connection that is logged in: as `pinned` if work is bound to that, else as
    /// the newest. Waits while the credential is refused, for `patience`.
    pub(super) async fn logged_in(
        &mut self,
        pinned: Option<u64>,
        patience: Duration,
    ) -> Result<Result<usize, Refused>, End> {
        let deadline = Instant::now() + patience;
        let mut held = None;
        loop {
            let mut changes = self.shared.generations.subscribe();
            for generation in self.candidates(pinned) {
                if let Ok(place) = self.logged_in_as(&generation).await? {
                    return Ok(Ok(place));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Err(Refused));
            }
            held.get_or_insert_with(|| Counted::on(&self.shared.metrics.held));
            let waiting = tokio::time::timeout(left.min(RETRY), changes.changed());
            let _ = while_there(&mut self.client, waiting).await?;
        }
    }

    /// Whom to log in as, best first. Where the newest is refused, the older one may still do.
    fn candidates(&self, pinned: Option<u64>) -> Vec<Arc<Generation>> {
        let generations = &self.shared.generations;
        if let Some(pinned) = pinned.and_then(|number| generations.kept(number)) {
            return vec![pinned];
        }
        let both = [generations.newest(), generations.older()];
        both.into_iter().flatten().collect()
    }

    async fn logged_in_as(
        &mut self,
        generation: &Arc<Generation>,
    ) -> Result<Result<usize, Refused>, End> {
        let number = generation.number;
        if let Some(place) = self
            .upstreams
            .iter()
            .position(|upstream| upstream.is_of(number))
        {
            return Ok(Ok(place));
        }
        let shared = Arc::clone(&self.shared);
        let free = self
            .upstreams
            .iter()
            .position(|upstream| upstream.identity.is_none());
        if let Some(place) = free
            && let Some(upstream) = self.upstreams.get_mut(place)
        {
            let outcome = upstream.log_in(generation, &shared.keys).await?;
            self.count(&outcome);
            return Ok(outcome.map(|()| place));
        }
        // Make before break: the older connections stay until this one is in.
        let mut upstream = self.open().await?;
        upstream.greet(self.metadata.as_deref()).await?;
        let outcome = upstream.log_in(generation, &shared.keys).await?;
        self.count(&outcome);
        Ok(outcome.map(|()| {
            self.upstreams.push(upstream);
            self.upstreams.len() - 1
        }))
    }

    fn count(&self, outcome: &Result<(), Refused>) {
        self.shared.metrics.login(match outcome {
            Ok(()) => LoginResult::Accepted,
            Err(Refused) => LoginResult::Refused,
        });
    }

    async fn open(&mut self) -> Result<Upstream, Error> {
        let upstream = self.shared.open(self.member.as_ref()).await?;
        self.member
            .get_or_insert_with(|| Arc::clone(&upstream.member));
        Ok(upstream)
    }

    /// Whether a connection has a login that is not the newest.
    pub(super) fn is_draining(&self) -> bool {
        let newest = self.shared.generations.newest();
        self.upstreams
            .iter()
            .any(|upstream| is_older(upstream, newest.as_ref()))
    }

    /// Closes connections of older logins that have no work any more.
    pub(super) fn let_go(&mut self) {
        if self.upstreams.is_empty() || !self.is_draining() {
            return;
        }
        let newest = self.shared.generations.newest();
        let shared = Arc::clone(&self.shared);
        let now = Instant::now();
        let is_needed = |upstream: &Upstream| {
            let Some(identity) = &upstream.identity else {
                return true;
            };
            !identity.is_retired_for(shared.settings.drain)
                && shared.affinity().has_open_work(identity.number, now)
        };
        self.upstreams
            .retain(|upstream| !is_older(upstream, newest.as_ref()) || is_needed(upstream));
    }
}

fn is_older(upstream: &Upstream, newest: Option<&Arc<Generation>>) -> bool {
    let identity = upstream.identity.as_ref().map(|identity| identity.number);
    identity.is_some_and(|identity| newest.is_some_and(|newest| newest.number != identity))
}
