//! The config file: read at start, read again when it changes; a bad one keeps the last good one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::config::{Config, Parsed, Problem};
use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("config file {path} can't be read; --config-file names it")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("config file {path} is wrong:\n{problems}")]
    Wrong { path: PathBuf, problems: String },
}

/// How often the file is looked at. A mounted ConfigMap changes by a symlink, which file watches
/// miss; reading a few hundred bytes does not.
const POLL: Duration = Duration::from_secs(2);

/// Reads the file for the first time, and logs what its author should look at.
pub fn load(path: &Path) -> Result<(Config, String), Error> {
    let text = read(path)?;
    let parsed = parse(path, &text)?;
    warn(&parsed.warnings, path);
    let variables = |name: &str| std::env::var(name).ok();
    warn(
        &api::config::environment_overrides(&parsed.config, variables),
        path,
    );
    Ok((parsed.config, text))
}

/// Follows the file until the token ends, and calls `changed` after each new good version.
pub async fn follow(
    path: PathBuf,
    mut text: String,
    current: &ArcSwap<Config>,
    changed: impl Fn(),
    token: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
        }
        let Ok(found) = read(&path) else { continue };
        if found == text {
            continue;
        }
        text = found;
        match parse(&path, &text) {
            Ok(Parsed { config, warnings }) => {
                warn(&warnings, &path);
                let keys = current.load().changed_keys(&config).join(", ");
                tracing::info!(keys, "config file reloaded");
                current.store(Arc::new(config));
                changed();
            }
            Err(err) => tracing::error!(error = %err, "config file refused, the last one stays"),
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn parse(path: &Path, text: &str) -> Result<Parsed, Error> {
    Config::parse(text).map_err(|problems| Error::Wrong {
        path: path.to_owned(),
        problems: lines(&problems, path).join("\n"),
    })
}

fn lines(problems: &[Problem], path: &Path) -> Vec<String> {
    let file = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let file = file.unwrap_or_default();
    problems
        .iter()
        .map(|problem| problem.clone().in_file(&file).to_string())
        .collect()
}

fn warn(warnings: &[Problem], path: &Path) {
    for line in lines(warnings, path) {
        tracing::warn!(warning = line, "config file");
    }
}
