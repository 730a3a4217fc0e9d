//! One config: waits for its sources, runs its commands, and waits for a change, or tries again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::future::select_all;
use hotload::follow::{Ended, Version, Watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Command;
use crate::destination::{self, Commit, Session};
use crate::metrics::{Metrics, Outcome};
use crate::pace::{Pace, Until};
use crate::render;
use crate::status::Status;
use crate::value::Value;

pub(crate) struct Runner {
    pub(crate) name: String,
    pub(crate) sources: Vec<Followed>,
    pub(crate) session: Session,
    pub(crate) commands: Vec<Command>,
    pub(crate) commit: Commit,
    pub(crate) pace: Pace,
    pub(crate) status: Status,
    pub(crate) metrics: Metrics,
}

/// A source, under the name that templates know it by.
pub(crate) struct Followed {
    pub(crate) name: String,
    pub(crate) watch: Watch<Value>,
    /// The generation that the last run has used.
    pub(crate) used: u64,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Render(#[from] render::Error),
    #[error(transparent)]
    Destination(#[from] destination::Error),
    #[error("stopped in the middle of a run")]
    Stopped,
}

/// How a runner has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Stopped,
}

impl Runner {
    pub(crate) async fn run(mut self, until: Until, token: CancellationToken) -> End {
        let mut failures = 0;
        loop {
            let context = tokio::select! {
                biased;
                () = token.cancelled() => return End::Stopped,
                context = self.context() => context,
            };
            let Ok(context) = context else {
                return End::Stopped;
            };
            let started = Instant::now();
            let result = self.commands(&context, &token).await;
            let outcome = self.report(result, started.elapsed());
            let pause = match (outcome, until) {
                (Outcome::Success, Until::Success) => return End::Done,
                (Outcome::Success, Until::Stopped) => {
                    failures = 0;
                    None
                }
                (Outcome::Failure, _) => {
                    failures += 1;
                    Some(self.pace.after(failures))
                }
            };
            tokio::select! {
                biased;
                () = token.cancelled() => return End::Stopped,
                () = self.wait(pause) => {}
            }
        }
    }

    /// Once every source has contents that are valid: all of them, by the names of the files.
    async fn context(&mut self) -> Result<Value, Ended> {
        let mut context = BTreeMap::new();
        for source in &mut self.sources {
            let version = loop {
                if let Some(version) = source.watch.current() {
                    break version;
                }
                let problem = destination::reason(&source.watch);
                self.status.set(&self.name, Some(problem));
                // The reason may change while there is still nothing.
                if let Ok(next) = timeout(SOURCE_LOOK, source.watch.next()).await {
                    break next?;
                }
            };
            source.used = version.generation;
            context.insert(source.name.clone(), version.value.clone());
        }
        Ok(Value::Map(context))
    }

    async fn commands(&mut self, context: &Value, token: &CancellationToken) -> Result<(), Error> {
        let statements = render::statements(&self.commands, context)?;
        let mut hidden = Vec::new();
        context.texts(&mut hidden);
        let run = self.session.run(&statements, self.commit, &hidden);
        // A run that has begun may end by itself; what is left of it then is dropped.
        let drained = async {
            token.cancelled().await;
            tokio::time::sleep(self.pace.drain).await;
        };
        tokio::select! {
            biased;
            result = run => Ok(result?),
            () = drained => Err(Error::Stopped),
        }
    }

    fn report(&self, result: Result<(), Error>, took: Duration) -> Outcome {
        let config = self.name.as_str();
        let (outcome, problem) = match result {
            Ok(()) => (Outcome::Success, None),
            Err(err) => (Outcome::Failure, Some(err.to_string())),
        };
        self.metrics.ran(config, outcome, took, SystemTime::now());
        let is_news = self.status.set(config, problem.clone());
        match problem {
            None => tracing::info!("commands have run"),
            Some(error) if is_news => tracing::warn!(error, "run failed, will be repeated"),
            Some(error) => tracing::debug!(error, "run failed again"),
        }
        outcome
    }

    /// Ends when there is something to do: a changed source, or after a failure, of which `pause`
    /// is the length at most, also a changed destination.
    async fn wait(&mut self, pause: Option<Duration>) {
        let Self {
            sources, session, ..
        } = self;
        let retry = async {
            match pause {
                None => std::future::pending().await,
                Some(pause) => tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = session.changed() => {}
                },
            }
        };
        let (status, name, metrics) = (&self.status, &self.name, &self.metrics);
        let watched: Vec<_> = sources.iter().map(|source| source.watch.clone()).collect();
        let told = async {
            // A failure is what is told then.
            if pause.is_some() {
                std::future::pending::<()>().await;
            }
            loop {
                tokio::time::sleep(SOURCE_LOOK).await;
                tell_refusals(name, &watched, status, metrics);
            }
        };
        tokio::select! {
            () = retry => {}
            () = changed(sources) => {}
            () = told => {}
        }
    }
}

/// How often refused sources are looked for; the files are looked at by `hotload` itself.
const SOURCE_LOOK: Duration = Duration::from_millis(500);

/// After a success: a source that is refused now makes the config's state one of the past.
fn tell_refusals(config: &str, sources: &[Watch<Value>], status: &Status, metrics: &Metrics) {
    let refusal = sources.iter().find_map(Watch::refusal);
    let outcome = match refusal {
        Some(_) => Outcome::Failure,
        None => Outcome::Success,
    };
    metrics.set_current(config, outcome);
    status.set(config, refusal.map(|refusal| refusal.reason()));
}

/// Ends when a source has contents that the last run did not use.
async fn changed(sources: &mut [Followed]) {
    let news = sources.iter_mut().map(|source| {
        Box::pin(async {
            loop {
                let version: Result<Arc<Version<Value>>, Ended> = source.watch.next().await;
                match version {
                    Ok(version) if version.generation == source.used => {}
                    Ok(_) => return,
                    // Only at the end of the process.
                    Err(Ended) => std::future::pending().await,
                }
            }
        })
    });
    let news: Vec<_> = news.collect();
    if news.is_empty() {
        return std::future::pending().await;
    }
    select_all(news).await;
}
