//! Logs to standard error, as JSON or text.

use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Text,
}

/// Starts logging at `level`. Libraries speak from `warn` up: their debug lines may hold requests.
pub(crate) fn start(format: Format, level: &str) {
    let directives = format!(
        "warn,db_controller={level},db_controller_core={level},db_controller_postgres={level}"
    );
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_writer(std::io::stderr);
    // Only a second subscriber could fail here.
    let _ = match format {
        Format::Json => builder.json().flatten_event(true).try_init(),
        Format::Text => builder.try_init(),
    };
}
