//! All configs of a file, side by side: each has a task of its own, and each file a follower.

use hotload::follow::{Options, follow};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::pace::{Pace, Until};
use crate::runner::{End, Followed, Runner};
use crate::status::Status;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("stopped before every config had run")]
    Unfinished,
    #[error("a task ended that should not have: this is a bug")]
    Lost(#[source] tokio::task::JoinError),
}

/// Runs until all configs are done, or until `token` is cancelled.
pub async fn run(
    configs: Vec<Config>,
    until: Until,
    pace: Pace,
    status: Status,
    metrics: Metrics,
    token: CancellationToken,
) -> Result<(), Error> {
    let following = token.child_token();
    let mut followers = JoinSet::new();
    let mut runners = JoinSet::new();
    for config in configs {
        let Config {
            name,
            sources,
            destination,
            commands,
            commit,
        } = config;
        let mut inputs = Vec::new();
        for source in sources {
            let driver = source.driver;
            let name = source.path.display().to_string();
            let (follower, watch) = follow(source.path, Options::default(), move |contents| {
                driver.read(contents)
            });
            followers.spawn(follower.run(following.clone()));
            inputs.push(Followed {
                name,
                watch,
                used: 0,
            });
        }
        let (session, follower) = destination.session(Options::default());
        if let Some(follower) = follower {
            followers.spawn(follower.run(following.clone()));
        }
        metrics.announce(&name);
        status.set(&name, Some("has not run yet".to_owned()));
        let span = tracing::info_span!("follow", config = name);
        let runner = Runner {
            name,
            sources: inputs,
            session,
            commands,
            commit,
            pace,
            status: status.clone(),
            metrics: metrics.clone(),
        };
        runners.spawn(runner.run(until, token.clone()).instrument(span));
    }
    if runners.is_empty() {
        tracing::warn!("no config is enabled, there is nothing to do");
        if until == Until::Stopped {
            token.cancelled().await;
        }
    }
    let mut is_done = true;
    while let Some(ended) = runners.join_next().await {
        is_done &= ended.map_err(Error::Lost)? == End::Done;
    }
    following.cancel();
    while followers.join_next().await.is_some() {}
    match until {
        Until::Success if !is_done => Err(Error::Unfinished),
        Until::Success | Until::Stopped => Ok(()),
    }
}
