//! Wiring: caches, reconcilers, leadership, servers, and the order in which they end.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim, server::DatabaseServer};
use arc_swap::ArcSwap;
use engine::password::Generator;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client,
    core::PartialObjectMeta,
    runtime::{
        controller::{self, Action},
        reflector::Store,
        watcher,
    },
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, broadcast},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    claim, config_file,
    context::{Context, Memories, Scope, Settings},
    events::Events,
    hook::Hook,
    lease::Leadership,
    limits::Limits,
    metrics::Metrics,
    role_claim,
    serve::{self, Health},
    server::{self, ServerScope},
    watch,
};

/// What the process is started with.
pub struct Options {
    pub client: Client,
    pub settings: Settings,
    pub config_file: PathBuf,
    pub leader_elect: bool,
    /// Already bound, so that a test can ask for port 0.
    pub probes: Option<TcpListener>,
    pub metrics: Option<TcpListener>,
    pub hook: Box<dyn Hook>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config_file::Error),
    #[error("the metrics could not be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("the lease was lost; another replica may lead now")]
    LeaseLost,
    #[error("{task} ended by itself")]
    TaskEnded { task: &'static str },
}

/// How long the last passes may take once a stop was asked for.
const DRAIN: Duration = Duration::from_secs(8);

/// Runs until the token ends, or something fails that only a new process can mend.
pub async fn run(options: Options, token: CancellationToken) -> Result<(), Error> {
    let Options {
        client,
        settings,
        config_file,
        leader_elect,
        probes,
        metrics,
        hook,
    } = options;
    let (config, text) = config_file::load(&config_file)?;
    let health = Arc::new(Health::default());
    let mut tasks = Tasks::new(token.clone());

    let (servers, touched_servers) = watch::cached(
        Api::<DatabaseServer>::all(client.clone()),
        watcher::Config::default(),
    );
    let (namespaces, touched_namespaces) = watch::cached(
        Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
        watcher::Config::default(),
    );
    let timeouts = postgres::Timeouts::default();
    let context = Arc::new(Context {
        events: Events::new(client.clone(), &settings.identity),
        admins: postgres::Admins::new(timeouts, config.max_connections_per_server.into()),
        workers: Semaphore::new(config.max_concurrent_reconciles.into()),
        config: ArcSwap::from_pointee(config),
        servers,
        namespaces,
        limits: Limits::default(),
        metrics: Metrics::new()?,
        passwords: Box::new(Generator),
        hook,
        memory: Memories::default(),
        started_at: Timestamp::now(),
        client: client.clone(),
        settings: settings.clone(),
    });

    // Changes that concern many claims: a server, the configuration.
    let (news, _) = broadcast::channel::<News>(64);
    tasks.spawn("the watch on namespaces", {
        watch::drive(touched_namespaces, |_| {}, token.clone())
    });
    let stores = Arc::new(OnceLock::new());
    if let Some(listener) = metrics {
        let (context, stores) = (Arc::clone(&context), Arc::clone(&stores));
        let text = move || scrape(&context, &stores);
        tasks.spawn(
            "the metrics server",
            serve::metrics(listener, text, token.clone()),
        );
    }
    if let Some(listener) = probes {
        let health = Arc::clone(&health);
        tasks.spawn(
            "the probe server",
            serve::probes(listener, health, token.clone()),
        );
    }
    tasks.spawn("the heartbeat", beat(Arc::clone(&health), token.clone()));

    let leadership = Leadership::new(
        client,
        &settings.namespace,
        &settings.class,
        &settings.identity,
    );
    // A replica that waits for the Lease is ready: it serves what every replica serves.
    health.set_ready(true);
    if leader_elect && !tasks.unless_ended(leadership.acquire(&token)).await? {
        return Ok(());
    }
    context.metrics.claims.set_leader(true);

    // What the leader does ends at once when the Lease is lost, and in order when a stop is asked.
    let leading = token.child_token();
    let reload = {
        let (news, context) = (news.clone(), Arc::clone(&context));
        let token = leading.clone();
        async move {
            let tell = || drop(news.send(News::Everything));
            config_file::follow(config_file, text, &context.config, tell, token).await;
        }
    };
    tasks.spawn("the config file's watch", reload);
    let scopes = scopes(&context, &news, &leading, &mut tasks);
    let _ = stores.set(
        scopes
            .iter()
            .map(|scope| scope.claims.clone())
            .collect::<Vec<_>>(),
    );
    tasks.spawn("the server reconciler", {
        run_servers(&context, &scopes, touched_servers, news, leading.clone())
    });
    let outcome = if leader_elect {
        tasks.unless_ended(leadership.keep(&leading)).await
    } else {
        tasks
            .unless_ended(leading.cancelled().map(|()| false))
            .await
    };
    health.set_ready(false);
    match outcome {
        Ok(false) => {
            tasks.drain(DRAIN).await;
            if leader_elect {
                leadership.release().await;
            }
            Ok(())
        }
        Ok(true) => Err(Error::LeaseLost),
        Err(err) => Err(err),
    }
}

/// Something that concerns more than one claim.
#[derive(Debug, Clone)]
enum News {
    Server(String),
    Everything,
}

impl News {
    fn concerns(&self, claim: &DatabaseClaim) -> bool {
        let Self::Server(name) = self else {
            return true;
        };
        let status = claim
            .status
            .as_ref()
            .and_then(|status| status.server.as_ref());
        let recorded = status.and_then(|server| server.name.as_deref());
        let named = claim.spec.server.as_deref();
        match recorded.or(named) {
            Some(other) => other == name,
            // A claim that waits for a server may be waiting for this one.
            None => claim.spec.source_data_from.is_none(),
        }
    }
}

/// Starts the reconcilers of each watched scope.
fn scopes(
    context: &Arc<Context>,
    news: &broadcast::Sender<News>,
    token: &CancellationToken,
    tasks: &mut Tasks,
) -> Vec<Arc<Scope>> {
    let watched = &context.settings.watch_namespaces;
    let namespaces: Vec<Option<String>> = if watched.is_empty() {
        vec![None]
    } else {
        watched.iter().cloned().map(Some).collect()
    };
    let mut scopes = Vec::new();
    for namespace in namespaces {
        let namespace = namespace.as_deref();
        let client = &context.client;
        let config = watcher::Config::default();
        let (claims, touched) = watch::cached(
            watch::scoped::<DatabaseClaim>(client, namespace),
            config.clone(),
        );
        let (secrets, touched_secrets) = watch::cached(
            watch::scoped::<PartialObjectMeta<Secret>>(client, namespace),
            watch::published_secrets(),
        );
        let scope = Arc::new(Scope {
            context: Arc::clone(context),
            claims: claims.clone(),
            secrets,
        });
        let requests = vec![
            watch::own(touched),
            watch::of_secrets(touched_secrets, claims.clone()),
            watch::all_on(receive(news.subscribe()), claims, |news, claim| {
                news.concerns(claim)
            }),
        ];
        tasks.spawn(
            "the claim reconciler",
            run_claims(Arc::clone(&scope), requests, token.clone()),
        );
        let (role_claims, touched) =
            watch::cached(watch::scoped::<DbRoleClaim>(client, namespace), config);
        let context = Arc::clone(context);
        let requests = vec![watch::own(touched)];
        tasks.spawn("the role claim reconciler", {
            reconcile_all(
                role_claims,
                requests,
                role_claim::reconcile,
                context,
                token.clone(),
            )
        });
        scopes.push(scope);
    }
    scopes
}

/// Claims wait until the Secrets' cache is whole: a Secret that is merely not cached yet must not
/// look deleted.
async fn run_claims(
    scope: Arc<Scope>,
    requests: Vec<watch::Requests<DatabaseClaim>>,
    token: CancellationToken,
) {
    let claims = scope.claims.clone();
    reconcile_all(claims, requests, claim::reconcile, scope, token).await;
}

async fn run_servers_inner(
    scope: Arc<ServerScope>,
    touched: watch::Touched<DatabaseServer>,
    news: broadcast::Sender<News>,
    token: CancellationToken,
) {
    let requests = touched.inspect(move |event| {
        if let Ok(server) = event {
            let name = server.metadata.name.clone().unwrap_or_default();
            drop(news.send(News::Server(name)));
        }
    });
    let store = scope.context.servers.clone();
    let requests = vec![watch::own(requests.boxed())];
    reconcile_all(store, requests, server::reconcile, scope, token).await;
}

fn run_servers(
    context: &Arc<Context>,
    scopes: &[Arc<Scope>],
    touched: watch::Touched<DatabaseServer>,
    news: broadcast::Sender<News>,
    token: CancellationToken,
) -> BoxFuture<'static, ()> {
    let claims = scopes.iter().map(|scope| scope.claims.clone()).collect();
    let scope = Arc::new(ServerScope {
        context: Arc::clone(context),
        claims,
    });
    run_servers_inner(scope, touched, news, token).boxed()
}

/// Reconciles what is requested until the token ends. Concurrency is bounded inside, per server
/// and overall, so that what waits for one server takes nobody's place.
async fn reconcile_all<K, Ctx, Fut>(
    store: Store<K>,
    requests: Vec<watch::Requests<K>>,
    reconcile: impl FnMut(Arc<K>, Arc<Ctx>) -> Fut + Send + 'static,
    context: Arc<Ctx>,
    token: CancellationToken,
) where
    K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    Ctx: Send + Sync + 'static,
    Fut: Future<Output = Result<Action, std::convert::Infallible>> + Send + 'static,
{
    let mut reconcile = reconcile;
    let tracker = tokio_util::task::TaskTracker::new();
    let spawner = tracker.clone();
    let requests = watch::merged(requests).take_until(token.cancelled_owned());
    let boxed = move |object: Arc<K>, context: Arc<Ctx>| {
        let pass = reconcile(object, context);
        let task = spawner.spawn(pass);
        // A pass that panicked is looked at again; it took no other with it.
        task.map(|outcome| outcome.unwrap_or_else(|_| Ok(Action::requeue(Duration::from_mins(5)))))
            .boxed()
    };
    let never = |_: Arc<K>, err: &std::convert::Infallible, _: Arc<Ctx>| match *err {};
    let config = controller::Config::default();
    controller::applier(boxed, never, context, store, requests, config)
        .for_each(|outcome| {
            if let Err(err) = outcome {
                tracing::debug!(error = %err, "request dropped");
            }
            std::future::ready(())
        })
        .await;
    tracker.close();
    tracker.wait().await;
}

/// News as a stream; who was too slow to hear all hears that everything changed.
fn receive(receiver: broadcast::Receiver<News>) -> impl futures::Stream<Item = News> + Send {
    futures::stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(news) => Some((news, receiver)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some((News::Everything, receiver)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    })
}

async fn beat(health: Arc<Health>, token: CancellationToken) {
    loop {
        health.beat();
        tokio::select! {
            biased;
            () = token.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}

/// The text of `/metrics`; gauges over claims are computed now, on the leader.
fn scrape(context: &Context, stores: &OnceLock<Vec<Store<DatabaseClaim>>>) -> String {
    if let Some(stores) = stores.get() {
        let claims: Vec<_> = stores
            .iter()
            .flat_map(Store::state)
            .filter(|claim| claim.class() == context.settings.class)
            .collect();
        context
            .metrics
            .claims
            .refresh(&claims, &context.limits.circuits(), context.now());
    }
    context.metrics.text()
}

/// The process's tasks; one that ends by itself ends the process with its name.
struct Tasks {
    set: JoinSet<&'static str>,
    token: CancellationToken,
}

impl Tasks {
    fn new(token: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            token,
        }
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for `work`, unless a task ends before it without having been asked to.
    async fn unless_ended<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => return Ok(outcome),
                Some(ended) = self.set.join_next() => {
                    if self.token.is_cancelled() {
                        continue;
                    }
                    return Err(Error::TaskEnded { task: ended.unwrap_or("a task that panicked") });
                }
            }
        }
    }

    /// Lets the tasks end by themselves for so long.
    async fn drain(&mut self, patience: Duration) {
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("passes were still under way; the next leader finishes them");
        }
    }
}
