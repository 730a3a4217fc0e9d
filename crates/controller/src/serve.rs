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
    gate: Gate,
    beat: ArcSwap<Instant>,
}

/// What else of this process must be up before it is ready; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

/// The main loop counts as stuck when it has not turned for so long.
const STUCK: Duration = Duration::from_mins(1);

impl Gate {
    /// One that keeps nobody waiting.
    pub fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    pub fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Health {
    pub fn new(gate: Gate) -> Self {
        Self {
            is_ready: AtomicBool::new(false),
            gate,
            beat: ArcSwap::from_pointee(Instant::now()),
        }
    }

    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    /// Called by the main loop each time it turns.
    pub fn beat(&self) {
        self.beat.store(Arc::new(Instant::now()));
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed) && self.gate.0.load(Ordering::Relaxed)
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
    if health.is_ready() {
        (StatusCode::OK, "ok")
    } else {
        let why = "caches are not synced, or the webhook has no certificate yet";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    async fn asked(listener: &std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(listener).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn row_87_the_probes_tell_whether_caches_are_whole_and_the_loop_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gate, token) = (Gate::default(), CancellationToken::new());
        let health = Arc::new(Health::new(gate.clone()));
        let server = tokio::spawn(probes(listener, Arc::clone(&health), token.clone()));
        let is_ok = async |path| asked(&address, path).await.starts_with("HTTP/1.0 200");
        assert!(is_ok("/healthz").await && !is_ok("/readyz").await);
        health.set_ready(true);
        assert!(!is_ok("/readyz").await);
        gate.open();
        assert!(is_ok("/readyz").await);
        let long_ago = Instant::now().checked_sub(STUCK).unwrap();
        health.beat.store(Arc::new(long_ago));
        assert!(!is_ok("/healthz").await);
        health.beat();
        assert!(is_ok("/healthz").await);
        token.cancel();
        server.await.unwrap();
    }
}
