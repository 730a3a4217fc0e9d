//! Wiring: caches, reconcilers, leadership, servers, and the order in which they end.

mod scope;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use api::{claim::DatabaseClaim, config::Config, server::DatabaseServer};
use arc_swap::ArcSwap;
use engine::{password::Generator, timeouts::Timeouts};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    core::PartialObjectMeta,
    runtime::{reflector::ObjectRef, watcher},
};
use prometheus::core::Collector;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, broadcast},
};
use tokio_util::sync::CancellationToken;

use self::scope::Caches;
use crate::{
    bound::Bound,
    config_file,
    context::{Context, Memories, Scope, Settings},
    engines::Engines,
    events::Events,
    hook::Hook,
    lease::Leadership,
    limits::Limits,
    metrics::{Metrics, RotatedAdmin, Servers},
    news::{News, Told},
    pace::Paces,
    queue::reconcile_all,
    quota::Reservations,
    serve::{self, Gate, Health},
    server::{self, Keyring},
    tasks::{self, Tasks},
    tripwire::Tripwire,
    usage,
    watch::{self, Cache, Touched},
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
    /// Whether `/metrics` speaks TLS and asks who reads.
    pub metrics_access: MetricsAccess,
    /// What else this process serves, and `/readyz` waits for.
    pub gate: Gate,
    /// What else of this process is measured.
    pub collectors: Vec<Box<dyn Collector>>,
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
    #[error(transparent)]
    TaskEnded(#[from] tasks::Ended),
}

/// Who may read `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Everybody who reaches the port, in plain text.
    Open,
    /// Over TLS, bearers of a token whom RBAC allows it.
    Secure,
}

/// How long the last passes may take once a stop was asked for.
const DRAIN: Duration = Duration::from_secs(8);

/// The pods of so many claims are asked at once which credential they use.
const ASKED_AT_ONCE: usize = 16;

/// Runs until the token ends, or something fails that only a new process can mend.
pub async fn run(options: Options, token: CancellationToken) -> Result<(), Error> {
    let Options {
        client,
        settings,
        config_file,
        leader_elect,
        probes,
        metrics,
        metrics_access,
        gate,
        collectors,
        hook,
    } = options;
    let (config, text) = config_file::load(&config_file)?;
    let mut tasks = Tasks::new(token.clone());
    let leadership = Leadership::new(
        client.clone(),
        &settings.namespace,
        &settings.class,
        &settings.identity,
    );
    let (context, touched) = context(client, settings, config, hook)?;
    for collector in collectors {
        context.metrics.add(collector)?;
    }
    let stores = Arc::new(OnceLock::new());
    let health = Arc::new(Health::new(gate));
    serve_all(
        &mut tasks,
        &context,
        &stores,
        &health,
        (probes, metrics.map(|listener| (listener, metrics_access))),
        &token,
    );

    // A replica that waits for the Lease is ready: there is nothing that only the leader serves.
    health.set_ready(true);
    if leader_elect && !tasks.unless_ended(leadership.acquire(&token)).await? {
        return Ok(());
    }
    health.set_ready(false);
    context.metrics.claims.set_leader(true);
    let leading = token.child_token();
    let (news, _) = broadcast::channel::<News>(64);
    let reload = follow_config(Arc::clone(&context), config_file, text, &news, &leading);
    tasks.spawn("the config file's watch", reload);
    let scopes = lead(&mut tasks, &context, touched, &news, &leading);
    let _ = stores.set(
        scopes
            .iter()
            .map(|scope| scope.claims.clone())
            .collect::<Vec<_>>(),
    );
    tasks.spawn(
        "the readiness task",
        ready_when_synced(scopes, Arc::clone(&health), token.clone()),
    );

    let end = if leader_elect {
        tasks.unless_ended(leadership.keep(&leading)).await
    } else {
        tasks
            .unless_ended(leading.cancelled().map(|()| false))
            .await
    };
    health.set_ready(false);
    if end? {
        // Returning ends the process, and with it all work on servers, at once.
        return Err(Error::LeaseLost);
    }
    tasks.drain(DRAIN).await;
    if leader_elect {
        leadership.release().await;
    }
    Ok(())
}

/// Caches that the leader drives, beside the claims' own.
struct Watched {
    servers: Touched<DatabaseServer>,
    namespaces: Touched<PartialObjectMeta<Namespace>>,
}

fn context(
    client: Client,
    settings: Settings,
    config: Config,
    hook: Box<dyn Hook>,
) -> Result<(Arc<Context>, Watched), Error> {
    let all = watcher::Config::default();
    let (servers, touched_servers) =
        watch::cached(Api::<DatabaseServer>::all(client.clone()), all.clone());
    let (namespaces, touched_namespaces) = watch::cached(
        Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
        all,
    );
    // A claim whose database is being filled holds a second connection, to that database.
    // The bound that counts is that of the limits, which a server may raise to 64.
    let most_connections = config.max_connections_per_server.max(64);
    let connections = 2 * usize::from(most_connections);
    let context = Context {
        events: Events::new(client.clone(), &settings.identity),
        engines: Engines::new(Timeouts::default(), connections),
        workers: Arc::new(Bound::new(config.max_concurrent_reconciles)),
        most_connections,
        config: ArcSwap::from_pointee(config),
        servers,
        namespaces,
        limits: Limits::default(),
        metrics: Metrics::new()?,
        passwords: Box::new(Generator),
        hook,
        memory: Memories::default(),
        keyring: Keyring::default(),
        claims: OnceLock::new(),
        role_claims: OnceLock::new(),
        copies: OnceLock::new(),
        reservations: Reservations::default(),
        tripwire: Tripwire::default(),
        paces: Paces::default(),
        asking: Semaphore::new(ASKED_AT_ONCE),
        started_at: Timestamp::now(),
        client,
        settings,
    };
    let watched = Watched {
        servers: touched_servers,
        namespaces: touched_namespaces,
    };
    Ok((Arc::new(context), watched))
}

/// What every replica serves, leader or not.
fn serve_all(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    stores: &Arc<OnceLock<Vec<Cache<DatabaseClaim>>>>,
    health: &Arc<Health>,
    (probes, metrics): (Option<TcpListener>, Option<(TcpListener, MetricsAccess)>),
    token: &CancellationToken,
) {
    if let Some((listener, access)) = metrics {
        let (client, token) = (context.client.clone(), token.clone());
        let (context, stores) = (Arc::clone(context), Arc::clone(stores));
        let router = serve::metrics_router(move || scrape(&context, &stores));
        tasks.spawn("the metrics server", async move {
            match access {
                MetricsAccess::Open => serve::metrics(listener, router, token).await,
                MetricsAccess::Secure => {
                    if let Err(err) = serve::secure::serve(listener, router, client, token).await {
                        tracing::error!(error = crate::error::chain(&err), "metrics server ended");
                    }
                }
            }
        });
    }
    if let Some(listener) = probes {
        let health = Arc::clone(health);
        tasks.spawn(
            "the probe server",
            serve::probes(listener, health, token.clone()),
        );
    }
    tasks.spawn("the heartbeat", beat(Arc::clone(health), token.clone()));
    let engines = context.engines.clone();
    let ended = token.clone().cancelled_owned();
    tasks.spawn("the reaper of idle connections", async move {
        tokio::select! {
            biased;
            () = ended => {}
            () = engines.reap() => {}
        }
    });
}

/// Starts what only the leader does: the reconcilers of each watched scope, and the servers'.
fn lead(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    watched: Watched,
    news: &broadcast::Sender<News>,
    token: &CancellationToken,
) -> Vec<Arc<Scope>> {
    let namespaces = &context.settings.watch_namespaces;
    let namespaces: Vec<Option<&str>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(|name| Some(name.as_str())).collect()
    };
    let namespaces = namespaces.into_iter();
    let caches: Vec<_> = namespaces
        .map(|namespace| Caches::of(&context.client, namespace))
        .collect();
    let claims = caches.iter().map(|caches| caches.claims.0.clone());
    let role_claims = caches.iter().map(|caches| caches.role_claims.0.clone());
    // Known before anything is decided: a claim may be shared with another scope.
    let _ = context.claims.set(claims.collect());
    let _ = context.role_claims.set(role_claims.collect());
    let copies = caches.iter().map(|caches| caches.copies.0.clone());
    let _ = context.copies.set(copies.collect());
    let (shared, _) = broadcast::channel::<News>(256);
    let scopes: Vec<_> = caches
        .into_iter()
        .map(|caches| scope::start(tasks, context, caches, (news, &shared), token))
        .collect();
    tasks.spawn(
        "the pruning of memories",
        prune(Arc::clone(context), token.clone()),
    );
    let (told, woken, mut heard) = (news.clone(), Arc::clone(context), Told::default());
    let touched = watched.servers.inspect(move |event| {
        let Ok(server) = event else { return };
        let name = server.metadata.name.clone().unwrap_or_default();
        let found = woken.servers.get(&ObjectRef::new(&name));
        if heard.is_news(&name, found.as_deref()) {
            woken.memory.wake();
            drop(told.send(News::Server(name)));
        }
    });
    tasks.spawn("the server reconciler", {
        let requests = vec![watch::own(touched.boxed())];
        let (store, context) = (context.servers.clone(), Arc::clone(context));
        reconcile_all(store, requests, server::reconcile, context, token.clone())
    });
    tasks.spawn(
        "the watch on namespaces",
        watch::drive(watched.namespaces, token.clone()),
    );
    scopes
}

/// Follows the config file, and lets every claim compute its times anew when it changed.
fn follow_config(
    context: Arc<Context>,
    path: PathBuf,
    text: String,
    news: &broadcast::Sender<News>,
    token: &CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let (news, token) = (news.clone(), token.clone());
    async move {
        let tell = || {
            apply_bounds(&context);
            context.memory.wake();
            drop(news.send(News::Everything));
        };
        config_file::follow(path, text, &context.config, tell, token).await;
    }
}

/// Lets a reload change how much happens at once. Bounds of servers follow as they are next used.
fn apply_bounds(context: &Context) {
    let config = context.config.load();
    context.workers.resize(config.max_concurrent_reconciles);
    let (asked, most) = (config.max_connections_per_server, context.most_connections);
    if asked > most {
        tracing::warn!(
            asked,
            most,
            "maxConnectionsPerServer takes its full effect after a restart"
        );
    }
}

/// Forgets what was remembered of objects that are gone, every now and then.
async fn prune(context: Arc<Context>, token: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => return,
            () = tokio::time::sleep(Duration::from_mins(10)) => context.prune(),
        }
    }
}

/// The leader is ready when its caches are whole; stays until the end, as tasks must.
async fn ready_when_synced(scopes: Vec<Arc<Scope>>, health: Arc<Health>, token: CancellationToken) {
    for scope in scopes {
        scope.is_synced().await;
    }
    health.set_ready(true);
    token.cancelled().await;
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
fn scrape(context: &Context, stores: &OnceLock<Vec<Cache<DatabaseClaim>>>) -> String {
    if let Some(stores) = stores.get() {
        let claims: Vec<_> = stores
            .iter()
            .flat_map(|claims| claims.state())
            .filter(|claim| claim.class() == context.settings.class)
            .collect();
        let role_claims = context.role_claims.get().into_iter().flatten();
        let role_claims: Vec<_> = role_claims
            .flat_map(|role_claims| role_claims.state())
            .filter(|role_claim| role_claim.class() == context.settings.class)
            .collect();
        let gauges = &context.metrics.claims;
        gauges.refresh(&claims, &role_claims, context.now());
        context.metrics.servers.refresh(&Servers {
            usage: usage::of_servers(context).unwrap_or_default(),
            waiting: context.paces.waiting(Instant::now()),
            circuits: context.limits.circuits(),
            admins: (context.servers.state().iter())
                .filter_map(|server| RotatedAdmin::of(server, context.now()))
                .collect(),
        });
    }
    context.metrics.text()
}
