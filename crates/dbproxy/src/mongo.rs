//! Runs the proxy for MongoDB: probes and metrics beside it, and its end at a signal.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use mongo_proxy::{Metrics, Proxy, Settings};
use prometheus::{Registry, TextEncoder};
use tokio_util::sync::CancellationToken;

use crate::acknowledge::{Acknowledged, acknowledged};
use crate::args::Args;
use crate::run::{Ended, probes};

/// Between two looks at whether the credential logs in; while it does not, somebody waits.
const PERIOD: Duration = Duration::from_secs(10);
const SHORT_PERIOD: Duration = Duration::from_millis(500);

#[derive(Clone)]
struct Shared {
    credential: PathBuf,
    proxy: Arc<Proxy>,
    registry: Registry,
    is_ready: Arc<AtomicBool>,
}

/// Until the token ends, and then until the connections under way have.
pub(crate) async fn run(args: Args, token: CancellationToken) -> anyhow::Result<Ended> {
    let (_, port) = args.listen()?;
    let registry = Registry::new();
    let metrics = Metrics::new(&registry)?;
    let mut settings = Settings {
        drain: args.drain(),
        ..Settings::new(&args.dbc, port)
    };
    if let Some(limit) = memory_limit() {
        settings.frame_memory = settings.frame_memory.min(limit / 2);
    }
    let listener = probes(&args).await?;
    let shared = Shared {
        credential: args.dbc.clone(),
        proxy: Arc::new(Proxy::start(settings, metrics).await?),
        registry,
        is_ready: Arc::default(),
    };
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/credential", get(credential))
        .route("/metrics", get(text))
        .with_state(shared.clone());
    let served = async { axum::serve(listener, router).await };
    tokio::select! {
        biased;
        () = watch(&shared, token) => Ok(Ended::Drained),
        // Served to the very end: who drains is asked too.
        served = served => {
            served.context("probes and metrics are no longer served")?;
            anyhow::bail!("probes and metrics are no longer served")
        }
    }
}

/// What the container may take at most, in bytes, where its kernel says so in the way of version 2 of
/// control groups.
fn memory_limit() -> Option<usize> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?;
    text.trim().parse().ok()
}

/// Asks now and then whether clients are served, and ends the proxy when it is time.
async fn watch(shared: &Shared, token: CancellationToken) {
    let Shared {
        proxy, is_ready, ..
    } = shared;
    while !token.is_cancelled() {
        let now = proxy.is_ready().await;
        if is_ready.swap(now, Ordering::Relaxed) != now {
            tracing::info!(ready = now, "readiness changed");
        }
        let pause = if now { PERIOD } else { SHORT_PERIOD };
        let _ = tokio::time::timeout(pause, token.cancelled()).await;
    }
    is_ready.store(false, Ordering::Relaxed);
    proxy.shut_down().await;
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.is_ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        let why = "no credential was found yet, or the server does not take it";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

async fn credential(State(shared): State<Shared>) -> Json<Acknowledged> {
    acknowledged(&shared.credential, |uri| shared.proxy.uses(uri))
}

async fn text(State(shared): State<Shared>) -> Result<String, StatusCode> {
    let text = TextEncoder::new().encode_to_string(&shared.registry.gather());
    text.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
