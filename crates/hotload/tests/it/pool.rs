//! What becomes of connections when the DSN changes, seen with a driver that counts them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hotload::{Connect, Error, Keeper, Malformed, Metrics, Mode, Options, Pool, Source};
use prometheus::{Registry, TextEncoder};
use secrecy::{ExposeSecret, SecretString};
use testkit::wait::wait_for;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use testkit::volume::Volume;

/// Connects to `fake://<host>`, but never to the host `hang`.
#[derive(Default)]
struct Fake {
    open: Arc<AtomicUsize>,
}

/// Counted while it exists.
#[derive(Debug)]
struct Connection {
    host: String,
    open: Arc<AtomicUsize>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Connect for Fake {
    type Config = String;
    type Connection = Connection;
    type Error = Infallible;

    fn parse(&self, dsn: &SecretString) -> Result<String, Malformed> {
        let host = dsn.expose_secret().strip_prefix("fake://");
        host.map(str::to_owned)
            .ok_or(Malformed("not a fake:// URI"))
    }

    async fn connect(
        &self,
        host: &String,
        _cut: CancellationToken,
    ) -> Result<Connection, Infallible> {
        if host == "hang" {
            std::future::pending::<()>().await;
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(Connection {
            host: host.clone(),
            open: Arc::clone(&self.open),
        })
    }
}

struct Stage {
    volume: Volume,
    pool: Pool<Fake>,
    open: Arc<AtomicUsize>,
    registry: Registry,
    token: CancellationToken,
    task: JoinHandle<()>,
}

/// Short, but used: a change must survive it.
const JITTER: Duration = Duration::from_millis(10);

impl Stage {
    fn new(dsn: &str, mode: Mode) -> Self {
        let options = Options {
            max_connections: 2,
            jitter: JITTER,
            ..Options::default()
        };
        Self::with(dsn, mode, options)
    }

    fn with(dsn: &str, mode: Mode, options: Options) -> Self {
        let volume = Volume::with(dsn).unwrap();
        let (fake, registry) = (Fake::default(), Registry::new());
        let open = Arc::clone(&fake.open);
        let source = Source::new("fake", volume.file(), mode);
        let metrics = Metrics::new(&registry).unwrap();
        let (pool, keeper): (_, Keeper<Fake>) = hotload::open(source, fake, options, metrics);
        let token = CancellationToken::new();
        let task = tokio::spawn(keeper.run(token.clone()));
        Self {
            volume,
            pool,
            open,
            registry,
            token,
            task,
        }
    }

    async fn swap(&mut self, dsn: &str) {
        let before = self.pool.generation().unwrap();
        self.volume.swap(dsn).unwrap();
        wait_for("the pool to use the new DSN", async || {
            let is_new = self.pool.generation().unwrap() > before;
            Ok(is_new.then_some(()))
        })
        .await
        .unwrap();
    }

    async fn host(&self) -> String {
        let host = self
            .pool
            .run(async |connection| Ok::<_, Error<Infallible>>(connection.host.clone()));
        host.await.unwrap()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    async fn stop(self) {
        self.token.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn connections_are_used_again_until_the_dsn_changes() {
    let mut stage = Stage::new("fake://one\n", Mode::Graceful);
    for _ in 0..3 {
        assert_eq!(stage.host().await, "one");
        assert_eq!(stage.open(), 1);
    }
    stage.swap("fake://two").await;
    assert_eq!(stage.open(), 0, "an idle one is closed at once");
    assert_eq!(stage.host().await, "two");
    stage.stop().await;
}

#[tokio::test]
async fn row_74_graceful_lets_work_finish_and_cuts_it_at_the_following_change() {
    let mut stage = Stage::new("fake://one", Mode::Graceful);
    let (first, second) = (
        stage.pool.get().await.unwrap(),
        stage.pool.get().await.unwrap(),
    );
    stage.swap("fake://two").await;
    assert!(!first.cut().is_cancelled());
    first.give_back();
    assert_eq!(stage.open(), 1, "an old one is not kept");
    assert_eq!(stage.host().await, "two");
    stage.swap("fake://three").await;
    second.cut().cancelled().await;
    drop(second);
    assert_eq!(stage.host().await, "three");
    stage.stop().await;
}

#[tokio::test]
async fn row_74_forced_cuts_work_at_once() {
    let mut stage = Stage::new("fake://one", Mode::Forced);
    let pool = stage.pool.clone();
    let work = tokio::spawn(async move {
        pool.run(async |_connection| {
            std::future::pending::<()>().await;
            Ok::<_, Error<Infallible>>(())
        })
        .await
    });
    wait_for("work to begin", async || {
        Ok((stage.open() == 1).then_some(()))
    })
    .await
    .unwrap();
    stage.swap("fake://two").await;
    let cut = work.await.unwrap();
    assert!(matches!(cut, Err(Error::Cut)), "{cut:?}");
    assert_eq!(stage.open(), 0);
    assert_eq!(stage.host().await, "two");
    stage.stop().await;
}

#[tokio::test]
async fn row_74_a_server_that_never_answers_does_not_hold_up_the_new_dsn() {
    let mut stage = Stage::new("fake://hang", Mode::Graceful);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let pool = stage.pool.clone();
            tokio::spawn(async move { pool.get().await.unwrap().host.clone() })
        })
        .collect();
    wait_for("the first DSN", async || Ok(stage.pool.generation()))
        .await
        .unwrap();
    stage.swap("fake://two").await;
    for host in waiting {
        assert_eq!(host.await.unwrap(), "two");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_failed_or_dropped_piece_of_work_takes_its_connection_along() {
    let stage = Stage::new("fake://one", Mode::Graceful);
    let failed = stage
        .pool
        .run(async |_connection| Err::<(), Error<Infallible>>(Error::Ended))
        .await;
    assert!(failed.is_err());
    assert_eq!(stage.open(), 0);
    drop(stage.pool.get().await.unwrap());
    assert_eq!(stage.open(), 0);
    stage.stop().await;
}

#[tokio::test]
async fn without_a_usable_dsn_the_error_says_why_and_quotes_nothing() {
    let options = Options {
        acquire_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let stage = Stage::with("canary-password", Mode::Graceful, options);
    let said = wait_for("the file to be judged", async || {
        let said = stage.pool.get().await.map(drop).unwrap_err().to_string();
        Ok(said.contains("refused").then_some(said))
    })
    .await
    .unwrap();
    assert!(said.contains("malformed DSN: not a fake:// URI"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    stage.stop().await;
}

#[tokio::test]
async fn after_the_keeper_nothing_is_handed_out() {
    let stage = Stage::new("fake://one", Mode::Graceful);
    assert_eq!(stage.host().await, "one");
    stage.token.cancel();
    stage.task.await.unwrap();
    let ended = stage.pool.get().await.map(drop);
    assert!(matches!(ended, Err(Error::Ended)), "{ended:?}");
}

#[tokio::test]
async fn row_75_changes_are_counted_and_the_first_dsn_is_none() {
    let mut stage = Stage::new("fake://one", Mode::Graceful);
    assert_eq!(stage.host().await, "one");
    for dsn in ["fake://two", "fake://three"] {
        stage.swap(dsn).await;
    }
    let mut text = String::new();
    TextEncoder::new()
        .encode_utf8(&stage.registry.gather(), &mut text)
        .unwrap();
    let url = format!("fsnotify://fake{}", stage.volume.file().display());
    let line = format!("hotload_change_total{{url=\"{url}\"}} 2\n");
    assert!(text.contains(&line), "{line} is not in\n{text}");
    stage.stop().await;
}
