//! Whether clients are served: asked through PgBouncer itself, now and then, and believed with
//! hysteresis, so that one slow answer takes no pod out of its Service.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use program::logs::chain;

use crate::metrics::Metrics;
use crate::pgbouncer::Console;

const PERIOD: Duration = Duration::from_secs(2);
/// While not ready: who waits for the database wants to know soon.
const SHORT_PERIOD: Duration = Duration::from_millis(250);
/// So many questions in a row must fail.
const TOLERATED: u32 = 3;

/// The verdict so far.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    is_ready: bool,
    failures: u32,
}

impl Readiness {
    /// Returns the new verdict if it changed.
    fn answered(&mut self, is_good: bool) -> Option<bool> {
        self.failures = if is_good { 0 } else { self.failures + 1 };
        let is_ready = is_good || (self.is_ready && self.failures < TOLERATED);
        let changed = is_ready != self.is_ready;
        self.is_ready = is_ready;
        changed.then_some(is_ready)
    }
}

/// Keeps the gauge of readiness right until `token` is cancelled; then it is not ready.
pub(crate) async fn watch(console: &Console, metrics: &Metrics, token: CancellationToken) {
    let mut readiness = Readiness::default();
    loop {
        let answer = async {
            // Before the first switch there is nobody to ask.
            if !metrics.has_credential() {
                return Ok(false);
            }
            console.session_user().await.map(|_| true)
        };
        let Some(answer) = token.run_until_cancelled(answer).await else {
            break;
        };
        let is_good = matches!(answer, Ok(true));
        if let Some(is_ready) = readiness.answered(is_good) {
            metrics.set_ready(is_ready);
            match (&answer, is_ready) {
                (_, true) => tracing::info!("ready"),
                (Err(err), false) => tracing::warn!(error = chain(err), "not ready"),
                (Ok(_), false) => tracing::warn!("not ready"),
            }
        }
        let period = if readiness.is_ready {
            PERIOD
        } else {
            SHORT_PERIOD
        };
        if token
            .run_until_cancelled(tokio::time::sleep(period))
            .await
            .is_none()
        {
            break;
        }
    }
    metrics.set_ready(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_57_one_failed_question_changes_nothing_and_three_do() {
        let mut readiness = Readiness::default();
        let mut answers = |answers: &[bool]| {
            let changes = answers.iter().map(|answer| readiness.answered(*answer));
            changes.collect::<Vec<_>>()
        };
        assert_eq!(answers(&[false, true]), [None, Some(true)]);
        assert_eq!(answers(&[false, false, true]), [None; 3]);
        assert_eq!(answers(&[false, false, false]), [None, None, Some(false)]);
        assert_eq!(answers(&[false, true]), [None, Some(true)]);
    }
}
