//! Reads a whole file that somebody may be writing.
//!
//! The file that was opened is read until two reads agree. If another file takes its place
//! meanwhile, that is the next look's business: so a rapid series of replacements, each of them
//! whole, can't keep the reader from ever finishing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::Refusal;

/// The most that a Secret can hold.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// How many reads may differ before the file is left alone until the next event or poll.
const ROUNDS: usize = 40;

pub(super) enum Contents {
    /// The same text as the last version, but for white space at its ends.
    Unchanged,
    New {
        text: SecretString,
        modified: Option<SystemTime>,
    },
}

/// Reads the file behind `path`; its contents must stand still for `settle`, unless they are those
/// of `current`.
pub(super) async fn read(
    path: &Path,
    settle: Duration,
    current: Option<&SecretString>,
) -> Result<Contents, Refusal> {
    let (mut open, mut bytes) = Open::new(path.to_owned()).await?;
    let is_current = |bytes: &[u8]| {
        current
            .is_some_and(|current| current.expose_secret().trim().as_bytes() == bytes.trim_ascii())
    };
    for _ in 0..ROUNDS {
        if is_current(&bytes) {
            return Ok(Contents::Unchanged);
        }
        tokio::time::sleep(settle).await;
        let (again, second) = open.read().await?;
        open = again;
        if second == bytes {
            return open.into_contents(&bytes);
        }
        bytes = second;
    }
    Err(Refusal::Unsettled {
        path: path.to_owned(),
    })
}

type Bytes = Zeroizing<Vec<u8>>;

struct Open {
    path: PathBuf,
    file: File,
}

impl Open {
    async fn new(path: PathBuf) -> Result<(Self, Bytes), Refusal> {
        let looked_for = path.clone();
        let opened = blocking(looked_for, move |path| {
            // Asked before opening, because opening a pipe waits for its other end.
            if !std::fs::metadata(path)?.is_file() {
                return Ok(None);
            }
            File::open(path).map(Some)
        })
        .await?;
        let Some(file) = opened else {
            return Err(Refusal::NotAFile { path });
        };
        Self { path, file }.read().await
    }

    /// Reads the file from its start.
    async fn read(self) -> Result<(Self, Bytes), Refusal> {
        let Self { path, mut file } = self;
        let (file, bytes) = blocking(path.clone(), move |_| {
            let mut bytes = Bytes::default();
            file.seek(SeekFrom::Start(0))?;
            (&mut file).take(LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
            Ok((file, bytes))
        })
        .await?;
        if bytes.len() as u64 > LIMIT_BYTES {
            return Err(Refusal::TooLarge {
                path,
                limit_bytes: LIMIT_BYTES,
            });
        }
        Ok((Self { path, file }, bytes))
    }

    fn into_contents(self, bytes: &[u8]) -> Result<Contents, Refusal> {
        let Self { path, file } = self;
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(Refusal::NotText { path });
        };
        if text.trim().is_empty() {
            return Err(Refusal::Empty { path });
        }
        Ok(Contents::New {
            text: SecretString::from(text),
            modified: file.metadata().and_then(|data| data.modified()).ok(),
        })
    }
}

/// File systems block, and those of a network for long.
async fn blocking<R: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&Path) -> std::io::Result<R> + Send + 'static,
) -> Result<R, Refusal> {
    let unreadable = {
        let path = path.clone();
        |source| Refusal::Unreadable { path, source }
    };
    match tokio::task::spawn_blocking(move || work(&path)).await {
        Ok(result) => result.map_err(unreadable),
        Err(lost) => Err(unreadable(std::io::Error::other(lost))),
    }
}
