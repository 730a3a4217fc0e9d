//! The tasks of the process: each is owned, and one that ends by itself ends the process.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Debug, thiserror::Error)]
#[error("{task} ended by itself")]
pub struct Ended {
    task: &'static str,
}

/// The process's tasks; one that ends by itself ends the process with its name.
pub struct Tasks {
    set: JoinSet<&'static str>,
    token: CancellationToken,
}

impl Tasks {
    pub fn new(token: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            token,
        }
    }

    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for `work`, unless a task ends before it without having been asked to.
    pub async fn unless_ended<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => return Ok(outcome),
                Some(ended) = self.set.join_next() => {
                    if self.token.is_cancelled() {
                        continue;
                    }
                    return Err(Ended { task: ended.unwrap_or("a task that panicked") });
                }
            }
        }
    }

    /// Lets the tasks end by themselves for so long.
    pub async fn drain(&mut self, patience: Duration) {
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("passes were still under way; the next leader finishes them");
        }
    }
}
