//! Logs to standard output, where PgBouncer's go as well.

use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Starts logging. Libraries speak from `warn` up: their debug lines may hold requests.
pub(crate) fn start(encoder: &str, level: Level) {
    let directives = format!("warn,dbproxy={level},hotload={level}");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_ansi(false);
    // Only a second subscriber could fail here.
    let _ = match encoder {
        "json" => builder.json().flatten_event(true).try_init(),
        _ => builder.try_init(),
    };
}

/// An error and what caused it, in one line.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
