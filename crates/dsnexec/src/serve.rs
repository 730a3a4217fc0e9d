//! `/healthz`, `/readyz` and `/metrics`, for the kubelet and for Prometheus.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::status::Status;

/// Serves until `token` is cancelled.
pub async fn run(
    listener: TcpListener,
    status: Status,
    metrics: Metrics,
    token: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(status))
        .route("/metrics", get(text).with_state(metrics));
    axum::serve(listener, router)
        .with_graceful_shutdown(token.cancelled_owned())
        .await
}

async fn ready(State(status): State<Status>) -> (StatusCode, String) {
    let problems = status.problems();
    if problems.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n")
}

async fn text(State(metrics): State<Metrics>) -> Result<String, StatusCode> {
    metrics
        .text()
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
