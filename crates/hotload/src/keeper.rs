//! Lets the pool use a new DSN: after a jitter, and with an end for what the old one opened.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connect::Connect;
use crate::follow::{Follower, Version, Watch};
use crate::metrics::Metrics;
use crate::pool::Shared;
use crate::source::{Mode, Source};

/// The time in which one version of the DSN is in use.
pub(crate) struct Epoch<C: Connect> {
    pub(crate) version: Arc<Version<C::Config>>,
    /// Cancelled when connections of this epoch must end.
    pub(crate) cut: CancellationToken,
}

pub(crate) type Epochs<C> = watch::Receiver<Option<Arc<Epoch<C>>>>;
type CurrentEpoch<C> = watch::Sender<Option<Arc<Epoch<C>>>>;

/// How often the age of the file is looked at.
const SAMPLE: Duration = Duration::from_mins(1);

/// Follows the file and keeps the pool current, as long as it [runs](Keeper::run).
pub struct Keeper<C: Connect> {
    pub(crate) follower: Follower<C::Config>,
    pub(crate) watch: Watch<C::Config>,
    pub(crate) shared: Arc<Shared<C>>,
    pub(crate) current: CurrentEpoch<C>,
    pub(crate) source: Source,
    pub(crate) jitter: Duration,
    pub(crate) metrics: Metrics,
}

impl<C: Connect> Keeper<C> {
    /// Works until `token` is cancelled. After that the pool hands out nothing, and what is at work
    /// may finish.
    pub async fn run(self, token: CancellationToken) {
        let Self {
            follower,
            watch,
            shared,
            current,
            source,
            jitter,
            metrics,
        } = self;
        let switch = switch(watch, shared, current, &source, jitter, &metrics);
        tokio::select! {
            biased;
            () = follower.run(token) => {}
            () = switch => {}
            () = sample(&source, &metrics) => {}
        }
    }
}

/// One epoch after the other. Ends with the follower.
async fn switch<C: Connect>(
    mut watch: Watch<C::Config>,
    shared: Arc<Shared<C>>,
    current: CurrentEpoch<C>,
    source: &Source,
    jitter: Duration,
    metrics: &Metrics,
) {
    let mut before_last: Option<Arc<Epoch<C>>> = None;
    loop {
        if watch.clone().next().await.is_err() {
            return;
        }
        if current.borrow().is_some() {
            // All pods see a change at once; their server should not see all of them at once.
            tokio::time::sleep(jitter.mul_f64(random_fraction())).await;
            metrics.changed(source, SystemTime::now());
        }
        let Ok(version) = watch.next().await else {
            return;
        };
        metrics.loaded(source, SystemTime::now());
        let epoch = Arc::new(Epoch {
            version,
            cut: CancellationToken::new(),
        });
        let last = current.send_replace(Some(epoch));
        shared.drop_idle();
        let overdue = match source.mode() {
            Mode::Graceful => std::mem::replace(&mut before_last, last),
            Mode::Forced => last,
        };
        if let Some(epoch) = overdue {
            epoch.cut.cancel();
        }
    }
}

/// The age of the file, for dashboards that show a rotation that never arrives.
async fn sample(source: &Source, metrics: &Metrics) {
    loop {
        match tokio::fs::metadata(source.path())
            .await
            .and_then(|file| file.modified())
        {
            Ok(modified) => metrics.sampled(source, modified, SystemTime::now()),
            Err(error) => tracing::debug!(%source, %error, "the file's age is unknown"),
        }
        tokio::time::sleep(SAMPLE).await;
    }
}

/// At least 0, below 1; different in each process and at each call. Not for secrets.
fn random_fraction() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_fraction_is_one_and_differs() {
        let fractions: Vec<f64> = (0..100).map(|_| random_fraction()).collect();
        assert!(
            fractions
                .iter()
                .all(|fraction| (0.0..1.0).contains(fraction))
        );
        assert!(fractions.iter().any(|fraction| *fraction < 0.5));
        assert!(fractions.iter().any(|fraction| *fraction > 0.5));
    }
}
