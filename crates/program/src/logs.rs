//! Logs to standard error, as JSON or text.

use std::fmt::Write;

use tracing::Level;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

/// Starts logging: `ours`, which are names of crates beside this one, from `level` up. Libraries speak from `warn`
/// up, since their debug lines may hold requests, and sqlx never: it logs what servers say.
pub fn start(format: Format, level: Level, ours: &[&str]) {
    let mut directives = format!("warn,sqlx=off,program={level}");
    for name in ours {
        // Writing to a text can't fail.
        let _ = write!(directives, ",{name}={level}");
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // Only a second subscriber could fail here.
    let _ = match format {
        Format::Json => builder.json().flatten_event(true).try_init(),
        Format::Text => builder.try_init(),
    };
}

/// An error and what caused it, in one line, each text once.
pub fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
