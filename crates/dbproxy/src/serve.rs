//! `/healthz`, `/readyz`, `/credential` and `/metrics`, without secrets, so open to the pod's network.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router, response::IntoResponse, response::Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::acknowledge::{Acknowledged, acknowledged};
use crate::credentials::Numbered;
use crate::dsn::Upstream;
use crate::metrics::Metrics;
use crate::pgbouncer::Console;

#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) dsn_file: PathBuf,
    pub(crate) in_use: watch::Receiver<Option<Arc<Numbered<Upstream>>>>,
    pub(crate) console: Console,
    pub(crate) metrics: Metrics,
}

/// Serves until `token` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Shared,
    token: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        // Whoever answers lives: all tasks end with the process, and share its one thread.
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/credential", get(credential))
        .route("/metrics", get(metrics))
        .with_state(shared);
    let ended = Box::pin(token.cancelled_owned());
    axum::serve(listener, router)
        .with_graceful_shutdown(ended)
        .await
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.metrics.is_ready() {
        return (StatusCode::OK, "ok");
    }
    let why = if shared.metrics.has_credential() {
        "the database does not answer through PgBouncer"
    } else {
        "no credential that works was found yet"
    };
    (StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn credential(State(shared): State<Shared>) -> Json<Acknowledged> {
    acknowledged(&shared.dsn_file, |dsn| {
        let in_use = shared.in_use.borrow();
        let mounted = Upstream::parse(dsn).ok();
        mounted.is_some() && in_use.as_ref().map(|numbered| &numbered.value) == mounted.as_ref()
    })
}

async fn metrics(State(shared): State<Shared>) -> Response {
    // Without PgBouncer the other figures matter all the more.
    let figures = shared.console.figures().await.ok();
    match shared.metrics.text(figures) {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(err) => (StatusCode::INTERNAL_SERVER_ERROR, err.to_string()).into_response(),
    }
}
