//! An application at work: everything that is bound to a login in some way, without pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use futures::{FutureExt, StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use testkit::wait::wait_for;
use tokio::task::JoinSet;

use crate::stage::{DATABASE, Stage};

/// Enough for a hundred batches, in which a cursor outlives a rotation.
const DOCUMENTS: i32 = 202;

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    done: [AtomicU64; KINDS],
    failures: Mutex<Vec<String>>,
}

impl State {
    fn failures(&self) -> MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::indexing_slicing, reason = "kinds are the constants below")]
    fn done(&self, kind: usize) -> &AtomicU64 {
        &self.done[kind]
    }
}

const KINDS: usize = 6;
const POINTS: usize = 0;
const CURSORS: usize = 1;
const TRANSACTIONS: usize = 2;
const CLIENTS: usize = 3;
const STREAM: usize = 4;
const INSERTS: usize = 5;

pub(crate) struct Load {
    state: Arc<State>,
    tasks: JoinSet<()>,
    client: Client,
}

impl Load {
    pub(crate) async fn start(stage: &Stage) -> Result<Self> {
        let client = stage.client().await?;
        let orders: Collection<Document> = client.database(DATABASE).collection("orders");
        orders
            .insert_many((0..DOCUMENTS).map(|n| doc! { "n": n }))
            .await?;
        for counter in ["points", "transactions"] {
            let counters: Collection<Document> = client.database(DATABASE).collection("counters");
            counters
                .insert_one(doc! { "_id": counter, "count": 0_i64 })
                .await?;
        }
        let inserted: Collection<Document> = client.database(DATABASE).collection("inserted");
        let stream = inserted.watch().await?;
        let shared = Arc::new(State::default());
        let mut tasks = JoinSet::new();
        let port = stage.proxy.port();
        for _ in 0..2 {
            repeat(&mut tasks, &shared, &client, POINTS, point);
            repeat(&mut tasks, &shared, &client, CURSORS, cursor);
        }
        repeat(&mut tasks, &shared, &client, TRANSACTIONS, transaction);
        repeat(&mut tasks, &shared, &client, INSERTS, insert);
        repeat(&mut tasks, &shared, &client, CLIENTS, move |_| {
            newcomer(port).boxed()
        });
        let watching = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut stream = stream;
            while let Some(event) = stream.next().await {
                match event {
                    Ok(_) => drop(watching.done(STREAM).fetch_add(1, Ordering::SeqCst)),
                    Err(err) => {
                        watching.failures().push(format!("stream: {err}"));
                        return;
                    }
                }
            }
        });
        Ok(Self {
            state: shared,
            tasks,
            client,
        })
    }

    /// Waits until everything has been done so often again.
    pub(crate) async fn goes_on(&self, times: u64) -> Result<()> {
        let before = self.done();
        wait_for("the load to go on", async || {
            let done = self.done();
            let failures = self.state.failures().len();
            let go_on = before
                .iter()
                .zip(done)
                .all(|(before, done)| done >= before + times);
            Ok((go_on || failures > 0).then_some(()))
        })
        .await
    }

    fn done(&self) -> [u64; KINDS] {
        std::array::from_fn(|kind| self.state.done(kind).load(Ordering::SeqCst))
    }

    /// What went wrong, after looking whether all that was acknowledged is there.
    pub(crate) async fn finish(mut self) -> Result<Vec<String>> {
        self.state.is_over.store(true, Ordering::SeqCst);
        let database = self.client.database(DATABASE);
        let inserts = || self.state.done(INSERTS).load(Ordering::SeqCst);
        // The stream goes on until it has told of every insert.
        wait_for("the load to end", async || {
            while let Some(ended) = self.tasks.try_join_next() {
                ended?;
            }
            Ok((self.tasks.len() <= 1).then_some(()))
        })
        .await?;
        let failures = self.state.failures().clone();
        if !failures.is_empty() {
            return Ok(failures);
        }
        wait_for("all events", async || {
            let events = self.state.done(STREAM).load(Ordering::SeqCst);
            ensure!(events >= inserts(), "{events} of {}", inserts());
            Ok(Some(()))
        })
        .await?;
        for (name, kind) in [("points", POINTS), ("transactions", TRANSACTIONS)] {
            let counters: Collection<Document> = database.collection("counters");
            let stored = counters
                .find_one(doc! { "_id": name })
                .await?
                .context("no counter")?;
            let acknowledged = self.state.done(kind).load(Ordering::SeqCst);
            assert_eq!(
                stored.get_i64("count")?,
                i64::try_from(acknowledged)?,
                "{name}"
            );
        }
        Ok(failures)
    }
}

type Work<'a> = futures::future::BoxFuture<'a, Result<()>>;

fn repeat(
    tasks: &mut JoinSet<()>,
    state: &Arc<State>,
    client: &Client,
    kind: usize,
    work: impl Fn(Client) -> Work<'static> + Send + Sync + 'static,
) {
    let (state, client) = (Arc::clone(state), client.clone());
    tasks.spawn(async move {
        while !state.is_over.load(Ordering::SeqCst) {
            match work(client.clone()).await {
                Ok(()) => drop(state.done(kind).fetch_add(1, Ordering::SeqCst)),
                Err(err) => {
                    let mut failures = state.failures();
                    failures.push(format!("kind {kind}: {err:#}"));
                    return;
                }
            }
        }
    });
}

fn point(client: Client) -> Work<'static> {
    async move {
        let counters: Collection<Document> = client.database(DATABASE).collection("counters");
        let add = doc! { "$inc": { "count": 1_i64 } };
        counters.update_one(doc! { "_id": "points" }, add).await?;
        Ok(())
    }
    .boxed()
}

fn cursor(client: Client) -> Work<'static> {
    async move {
        let orders: Collection<Document> = client.database(DATABASE).collection("orders");
        let mut cursor = orders.find(doc! {}).batch_size(2).await?;
        let mut count = 0;
        while cursor.try_next().await?.is_some() {
            count += 1;
            tokio::task::yield_now().await;
        }
        ensure!(count == DOCUMENTS, "{count} documents");
        let stages = [
            doc! { "$match": { "n": { "$gte": 0 } } },
            doc! { "$count": "count" },
        ];
        let mut counted = orders.aggregate(stages).await?;
        let counted = counted.try_next().await?.context("no count")?;
        ensure!(counted.get_i32("count")? == DOCUMENTS, "{counted}");
        Ok(())
    }
    .boxed()
}

fn transaction(client: Client) -> Work<'static> {
    async move {
        let counters: Collection<Document> = client.database(DATABASE).collection("counters");
        let mut session = client.start_session().await?;
        session
            .start_transaction()
            .and_run2(async move |session| {
                let one = doc! { "_id": "transactions" };
                counters
                    .find_one(one.clone())
                    .session(&mut *session)
                    .await?;
                let add = doc! { "$inc": { "count": 1_i64 } };
                counters.update_one(one, add).session(&mut *session).await?;
                Ok(())
            })
            .await?;
        Ok(())
    }
    .boxed()
}

fn insert(client: Client) -> Work<'static> {
    async move {
        let inserted: Collection<Document> = client.database(DATABASE).collection("inserted");
        inserted.insert_one(doc! { "n": 1 }).await?;
        Ok(())
    }
    .boxed()
}

/// What an application does that makes a client for each operation.
async fn newcomer(port: u16) -> Result<()> {
    let client = Client::with_uri_str(format!("mongodb://127.0.0.1:{port}/{DATABASE}")).await?;
    let orders: Collection<Document> = client.database(DATABASE).collection("orders");
    let found = orders.find_one(doc! { "n": 7 }).await;
    client.shutdown().await;
    ensure!(found?.is_some(), "no order");
    Ok(())
}
