//! `/healthz`, `/readyz` and `/metrics`. A server takes a bound listener and ends with its token.

pub mod secure;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the probes say.
#[derive(Debug)]
pub struct Health {
    is_ready: AtomicBool,
    beat: ArcSwap<Instant>,
}

/// The main loop counts as stuck when it has not turned for so long.
const STUCK: Duration = Duration::from_mins(1);

impl Default for Health {
    fn default() -> Self {
        Self {
            is_ready: AtomicBool::new(false),
            beat: ArcSwap::from_pointee(Instant::now()),
        }
    }
}

impl Health {
    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    /// Called by the main loop each time it turns.
    pub fn beat(&self) {
        self.beat.store(Arc::new(Instant::now()));
    }

    fn is_alive(&self) -> bool {
        self.beat.load().elapsed() < STUCK
    }
}

/// Serves the probes.
pub async fn probes(listener: TcpListener, health: Arc<Health>, token: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(health);
    run(listener, router, token).await;
}

/// Serves the metrics in plain text.
pub async fn metrics(listener: TcpListener, router: Router, token: CancellationToken) {
    run(listener, router, token).await;
}

/// The router of `/metrics`, for plain HTTP and TLS alike.
pub fn metrics_router<F>(text: F) -> Router
where
    F: Fn() -> String + Clone + Send + Sync + 'static,
{
    let answer = move || {
        let text = text.clone();
        async move { ([("content-type", "text/plain; version=0.0.4")], text()) }
    };
    Router::new().route("/metrics", get(answer))
}

async fn run(listener: TcpListener, router: Router, token: CancellationToken) {
    let until: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
        Box::pin(token.cancelled_owned());
    if let Err(err) = axum::serve(listener, router)
        .with_graceful_shutdown(until)
        .await
    {
        tracing::error!(error = %err, "server ended");
    }
}

async fn alive(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.is_alive() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "the main loop is stuck")
    }
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.is_ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are not synced yet")
    }
}
