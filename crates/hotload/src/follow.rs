//! Follows one file: whoever holds a [`Watch`] has the last contents that were valid.
//!
//! Made for files of mounted Secrets. Such a file is a symlink to `..data/<key>`, and `..data` is
//! a symlink that the kubelet replaces, so the *directory* is watched, never the file. Renamed
//! files, changed symlinks and files that are written in place work as well, and a poll finds what
//! no event tells (another directory behind a symlink, a network file system, a directory that is
//! made later). `subPath` mounts never change; nothing here can help that.
//!
//! Guarantees:
//! - A version is the whole of one file, read twice with the same result. A write in place that
//!   pauses for longer than [`Options::settle`] can still be seen half done; validation should
//!   refuse what is not whole.
//! - Other white space at the beginning or the end is no change.
//! - Missing, unreadable, empty or invalid contents never replace a version: the last good one
//!   stays, and [`Watch::refusal`] says why.
//! - The last version written is delivered, also if others were before it in quick succession.
//! - Contents stay in [`SecretString`]s. No contents are logged or put into an error; the errors of
//!   a validation are, so they must not quote what they complain about.
//!
//! ```
//! use hotload::follow::{Options, follow};
//! use secrecy::{ExposeSecret, SecretString};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("port");
//! # std::fs::write(&path, "5432\n")?;
//! let port = |text: &SecretString| text.expose_secret().trim().parse::<u16>();
//! let (follower, mut watch) = follow(&path, Options::default(), port);
//!
//! let token = CancellationToken::new();
//! let task = tokio::spawn(follower.run(token.clone()));
//! assert_eq!(watch.next().await?.value, 5432);
//!
//! std::fs::write(&path, "not a port")?; // refused: 5432 stays
//! std::fs::write(&path, "6432")?;
//! assert_eq!(watch.next().await?.value, 6432);
//!
//! token.cancel();
//! task.await?;
//! # Ok(())
//! # }
//! ```

mod contents;
mod directory;
mod refusal;
mod watch;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use self::contents::Contents;
use self::directory::Directory;
pub use self::refusal::Refusal;
use self::watch::Publisher;
pub use self::watch::{Ended, Version, Watch};

/// How a file is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the file is read without being told of a change. Default: 2 s.
    pub poll: Duration,
    /// How long contents must stand still before they count. Default: 25 ms.
    pub settle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            settle: Duration::from_millis(25),
        }
    }
}

type Validate<T> =
    Box<dyn Fn(&SecretString) -> Result<T, Box<dyn Error + Send + Sync>> + Send + Sync>;

/// Reads the file again and again. Does nothing until it [runs](Follower::run).
pub struct Follower<T> {
    path: PathBuf,
    options: Options,
    validate: Validate<T>,
    publisher: Publisher<T>,
    /// The contents of the last version.
    current: Option<SecretString>,
}

/// Follows the file at `path`, which need not exist yet. `validate` turns contents, white space at
/// both ends included, into what users of the [`Watch`] get, or refuses them; it runs on the task
/// of the follower, so it must not block.
pub fn follow<T, E>(
    path: impl Into<PathBuf>,
    options: Options,
    validate: impl Fn(&SecretString) -> Result<T, E> + Send + Sync + 'static,
) -> (Follower<T>, Watch<T>)
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let (publisher, watch) = watch::channel();
    let follower = Follower {
        path: path.into(),
        options,
        validate: Box::new(move |contents| validate(contents).map_err(Into::into)),
        publisher,
        current: None,
    };
    (follower, watch)
}

impl<T> Follower<T> {
    /// Follows the file until `token` is cancelled or the last [`Watch`] is dropped.
    pub async fn run(mut self, token: CancellationToken) {
        let mut directory = Directory::of(&self.path);
        loop {
            // Watch first, then read: a change in between is told, not lost.
            directory.watch();
            let found = tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = self.publisher.abandoned() => return,
                found = contents::read(&self.path, self.options.settle, self.current.as_ref()) => found,
            };
            self.judge(found);
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = self.publisher.abandoned() => return,
                () = directory.changed() => {}
                () = tokio::time::sleep(self.options.poll) => {}
            }
        }
    }

    /// Publishes what was found if that is new and valid.
    fn judge(&mut self, found: Result<Contents, Refusal>) {
        match found {
            Ok(Contents::Unchanged) => self.publisher.confirm(),
            Ok(Contents::New { text, modified }) => match (self.validate)(&text) {
                Ok(value) => {
                    let generation = self.publisher.publish(value, modified);
                    self.current = Some(text);
                    tracing::info!(path = %self.path.display(), generation, "file has a new version");
                }
                Err(source) => self.refuse(Refusal::Invalid {
                    path: self.path.clone(),
                    source,
                }),
            },
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&self, refusal: Refusal) {
        let path = self.path.display().to_string();
        let reason = refusal.reason();
        if self.publisher.refuse(refusal) {
            tracing::warn!(path, reason, "file refused, its last version stays in use");
        }
    }
}
