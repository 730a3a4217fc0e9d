//! Does what [`Credentials`] decides: logs in with a candidate, or makes PgBouncer use it. A switch
//! counts only when a client of PgBouncer is seen to be the new login, at the new server.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hotload::follow::{Refusal, Watch};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use program::logs::chain;

use crate::credentials::{Credentials, Next, Numbered, Switched, Verdict, Work};
use crate::dsn::Upstream;
use crate::login;
use crate::metrics::{Metrics, Outcome, RefusalCause};
use crate::pgbouncer::{self, Console, ConsoleError, Settings};
use crate::private;

/// How long PgBouncer has to use a new credential; it may have to be started again meanwhile.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// So many looks after a reload, before another one.
const LOOKS: u32 = 20;
/// How often the follower is asked why the file is not in use.
const ASK_FOLLOWER: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
enum SwitchError {
    #[error("the credential can't be put into PgBouncer's configuration")]
    Render(#[source] pgbouncer::Error),
    #[error("PgBouncer's configuration can't be written")]
    Write(#[source] std::io::Error),
    #[error("PgBouncer could not be asked whether it uses the credential")]
    Ask(#[source] ConsoleError),
    #[error("PgBouncer's clients are {got} at the server, not {want}")]
    OtherLogin { got: String, want: String },
    #[error("PgBouncer leads its clients to another server")]
    OtherServer,
    #[error("PgBouncer did not use the credential within {SWITCH_TIMEOUT:?}")]
    TimedOut,
}

/// All that a piece of work needs.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) dsn_file: PathBuf,
    pub(crate) ini: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) console: Console,
    /// Set once there is a configuration to start PgBouncer with.
    pub(crate) wanted: watch::Sender<bool>,
    /// The credential that PgBouncer was last seen to use.
    pub(crate) in_use: watch::Sender<Option<Arc<Numbered<Upstream>>>>,
    pub(crate) metrics: Metrics,
}

enum Answer {
    Tried(Verdict),
    Switched(Switched),
}

type UnderWay<'a> = Option<Pin<Box<dyn Future<Output = Answer> + Send + 'a>>>;

impl Keeper {
    /// Follows `file` until `token` is cancelled. Work that is under way then is dropped: it counts
    /// as a crash, after which everything begins again.
    pub(crate) async fn run(&self, mut file: Watch<Upstream>, token: CancellationToken) {
        let start = Instant::now();
        let mut credentials = Credentials::default();
        let mut under_way: UnderWay<'_> = None;
        let mut known: Option<Arc<Refusal>> = None;
        loop {
            let mut wake = None;
            match credentials.next(start.elapsed()) {
                Next::Work(work) => under_way = Some(Box::pin(self.work(work))),
                Next::WaitUntil(then) => wake = start.checked_add(then),
                Next::Idle => {}
            }
            let pause = sleep_until(wake.unwrap_or(start));
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                answer = answer(&mut under_way) => match answer {
                    Answer::Tried(verdict) => credentials.tried(verdict, start.elapsed()),
                    Answer::Switched(switched) => {
                        credentials.switched(switched, start.elapsed());
                        if let Some(current) = credentials.current() {
                            self.metrics.uses(current.generation);
                            self.in_use.send_replace(Some(Arc::clone(current)));
                        }
                    }
                },
                version = file.next() => match version {
                    Ok(version) => {
                        self.metrics.file_is_good(true);
                        credentials.found(version.value.clone());
                    }
                    Err(_) => return,
                },
                () = pause, if wake.is_some() => {}
                () = sleep(ASK_FOLLOWER) => {}
            }
            self.notice_refusal(&file, &mut known);
        }
    }

    async fn work(&self, work: Work<Upstream>) -> Answer {
        match work {
            Work::Try(numbered) => Answer::Tried(self.attempt(&numbered).await),
            Work::Switch(numbered) => Answer::Switched(self.switch(&numbered).await),
        }
    }

    async fn attempt(&self, numbered: &Numbered<Upstream>) -> Verdict {
        let Numbered { generation, value } = numbered;
        let ca = login::ca_for(value.ssl_mode, &self.dsn_file);
        match login::attempt(value, ca.as_ref()).await {
            Ok(()) => Verdict::Works,
            Err(err) => {
                let verdict = err.verdict();
                tracing::warn!(
                    generation,
                    login = value.login,
                    host = value.host,
                    error = chain(&err),
                    "credential not used, the last good one stays"
                );
                self.metrics.refused(match verdict {
                    Verdict::Refused => RefusalCause::Login,
                    Verdict::Works | Verdict::Unavailable => RefusalCause::ServerAway,
                });
                verdict
            }
        }
    }

    async fn switch(&self, numbered: &Numbered<Upstream>) -> Switched {
        let Numbered { generation, value } = numbered;
        let begun = Instant::now();
        match self.lead_to(value).await {
            Ok(()) => {
                let elapsed_ms = begun.elapsed().as_millis();
                let (login, host) = (&value.login, &value.host);
                tracing::info!(generation, login, host, elapsed_ms, "credential in use");
                self.metrics.switched(Outcome::Done);
                Switched::Done
            }
            Err(err) => {
                let error = chain(&err);
                tracing::warn!(generation, login = value.login, error, "switch failed");
                self.metrics.switched(Outcome::Failed);
                Switched::Failed
            }
        }
    }

    /// Writes the configuration, then asks PgBouncer to read it until it is seen to be in use.
    async fn lead_to(&self, upstream: &Upstream) -> Result<(), SwitchError> {
        let settings = Settings {
            server_ca: login::ca_for(upstream.ssl_mode, &self.dsn_file),
            ..self.settings.clone()
        };
        let ini = pgbouncer::ini(upstream, &settings).map_err(SwitchError::Render)?;
        private::replace(&self.ini, &ini).map_err(SwitchError::Write)?;
        self.wanted.send_replace(true);
        let mut last = SwitchError::TimedOut;
        let used = async {
            loop {
                // Again, too: a process that was starting may have read the old file.
                let held = match self.console.reload().await {
                    Ok(held) => held,
                    Err(err) => {
                        last = SwitchError::Ask(err);
                        sleep(LOOK_AGAIN).await;
                        continue;
                    }
                };
                for _ in 0..LOOKS {
                    match self.is_led_to(upstream).await {
                        Ok(()) => return held.release(&self.console).await,
                        Err(err) => last = err,
                    }
                    sleep(LOOK_AGAIN).await;
                }
            }
        };
        match timeout(SWITCH_TIMEOUT, Box::pin(used)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(last),
        }
    }

    async fn is_led_to(&self, upstream: &Upstream) -> Result<(), SwitchError> {
        let got = self
            .console
            .session_user()
            .await
            .map_err(SwitchError::Ask)?;
        if got != upstream.login {
            let want = upstream.login.clone();
            return Err(SwitchError::OtherLogin { got, want });
        }
        let target = self.console.target().await.map_err(SwitchError::Ask)?;
        let is_there = target.host == upstream.host
            && target.port == upstream.port.to_string()
            && target.database == upstream.database;
        is_there.then_some(()).ok_or(SwitchError::OtherServer)
    }

    /// The follower has logged it; here it is counted, once for each change.
    fn notice_refusal(&self, file: &Watch<Upstream>, known: &mut Option<Arc<Refusal>>) {
        let refusal = file.refusal();
        let is_known = match (&refusal, &*known) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if is_known {
            return;
        }
        if let Some(refusal) = &refusal {
            self.metrics.refused(RefusalCause::of_file(refusal));
        }
        self.metrics.file_is_good(refusal.is_none());
        *known = refusal;
    }
}

/// Waits for the work under way; for ever if there is none.
async fn answer(under_way: &mut UnderWay<'_>) -> Answer {
    let Some(work) = under_way else {
        return std::future::pending().await;
    };
    let answer = work.as_mut().await;
    *under_way = None;
    answer
}
