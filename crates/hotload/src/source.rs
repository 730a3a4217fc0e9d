//! Where a DSN comes from: `<strategy>://<driver><path>[?forceKill=true]`, as the Go library of the
//! same name writes it.

use std::fmt;
use std::path::{Path, PathBuf};

/// What becomes of connections that were opened with an earlier DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// An idle one is closed at once. One at work finishes, and is closed then; if it is still at
    /// work when the DSN changes *again*, it is cut.
    #[default]
    Graceful,
    /// All are cut at once.
    Forced,
}

/// The only strategy: the directory's events, and a poll.
pub(crate) const STRATEGY: &str = "fsnotify";

/// A file that holds a DSN for a driver.
///
/// ```
/// use hotload::{Mode, Source};
///
/// let source = Source::parse("fsnotify://postgres/etc/connection/uri_dsn.txt", &["postgres"])?;
/// assert_eq!(source.path().to_str(), Some("/etc/connection/uri_dsn.txt"));
/// assert_eq!(source.mode(), Mode::Graceful);
/// # Ok::<(), hotload::SourceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    driver: String,
    path: PathBuf,
    mode: Mode,
}

/// What is wrong with the text of a [`Source`]. Never quotes more than a name, as somebody may have
/// written a DSN where its file belongs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No strategy, no driver or no absolute path.
    #[error("not of the form fsnotify://<driver>/<path>[?forceKill=true]")]
    Malformed,
    /// Another strategy than `fsnotify`.
    #[error("unknown strategy; use {STRATEGY}")]
    UnknownStrategy,
    /// The program can't work with this driver.
    #[error("unknown driver; use one of: {known}")]
    UnknownDriver {
        /// Those it can work with.
        known: String,
    },
    /// Something else than `forceKill`.
    #[error("unknown option behind the question mark; use forceKill=true or forceKill=false")]
    UnknownOption,
}

impl Source {
    /// The file at `path`, with a DSN for `driver`.
    pub fn new(driver: impl Into<String>, path: impl Into<PathBuf>, mode: Mode) -> Self {
        Self {
            driver: driver.into(),
            path: path.into(),
            mode,
        }
    }

    /// Reads the form of the Go library. `drivers` are those that the caller knows.
    pub fn parse(text: &str, drivers: &[&str]) -> Result<Self, SourceError> {
        let (strategy, rest) = text.split_once("://").ok_or(SourceError::Malformed)?;
        if strategy != STRATEGY {
            return Err(SourceError::UnknownStrategy);
        }
        let (location, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (driver, path) = location.split_once('/').ok_or(SourceError::Malformed)?;
        if driver.is_empty() || path.is_empty() {
            return Err(SourceError::Malformed);
        }
        if !drivers.contains(&driver) {
            return Err(SourceError::UnknownDriver {
                known: drivers.join(", "),
            });
        }
        let mut mode = Mode::Graceful;
        for option in options.split('&').filter(|option| !option.is_empty()) {
            mode = match option {
                "forceKill=true" => Mode::Forced,
                "forceKill=false" => Mode::Graceful,
                _ => return Err(SourceError::UnknownOption),
            };
        }
        Ok(Self::new(driver, format!("/{path}"), mode))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What becomes of connections with an earlier DSN.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The driver's name.
    pub fn driver(&self) -> &str {
        &self.driver
    }
}

/// As in the label `url` of the metrics: what stands before an `@` may be a login, and is `***`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STRATEGY}://{}", redacted(&self.driver))?;
        write!(f, "{}", redacted(&self.path.to_string_lossy()))?;
        match self.mode {
            Mode::Graceful => Ok(()),
            Mode::Forced => write!(f, "?forceKill=true"),
        }
    }
}

/// Hides what stands before the last `@`, but for a slash at the beginning.
pub(crate) fn redacted(text: &str) -> String {
    match text.rsplit_once('@') {
        None => text.to_owned(),
        Some((login, rest)) => {
            let slash = if login.starts_with('/') { "/" } else { "" };
            format!("{slash}***@{rest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<(&str, Mode), SourceError>) {
        let got = Source::parse(text, &["postgres", "mongodb"]);
        let want = want.map(|(path, mode)| Source::new("postgres", path, mode));
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn row_74_the_form_of_the_go_library_is_read() {
        let known = "postgres, mongodb".to_owned();
        check("fsnotify://postgres/a/b", Ok(("/a/b", Mode::Graceful)));
        check(
            "fsnotify://postgres/a?forceKill=true",
            Ok(("/a", Mode::Forced)),
        );
        check(
            "fsnotify://postgres/a?forceKill=false",
            Ok(("/a", Mode::Graceful)),
        );
        check(
            "fsnotify://postgres/a?password=x",
            Err(SourceError::UnknownOption),
        );
        check(
            "fsnotify://mysql/a",
            Err(SourceError::UnknownDriver { known }),
        );
        check("poll://postgres/a", Err(SourceError::UnknownStrategy));
        for malformed in [
            "",
            "/a/b",
            "fsnotify://postgres",
            "fsnotify://postgres/",
            "fsnotify:///a",
        ] {
            check(malformed, Err(SourceError::Malformed));
        }
    }

    #[test]
    fn row_75_a_login_in_the_wrong_place_is_not_shown() {
        let shown = |path| Source::new("postgres", path, Mode::Forced).to_string();
        assert_eq!(
            shown("/etc/dsn"),
            "fsnotify://postgres/etc/dsn?forceKill=true"
        );
        assert_eq!(
            shown("/clerk:se/cr@et@db/orders"),
            "fsnotify://postgres/***@db/orders?forceKill=true"
        );
    }
}
