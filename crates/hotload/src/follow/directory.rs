//! Tells that something changed in the directory of a file. It may tell too often, and where the
//! system has no such events, it never does: the follower polls beside it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

pub(super) struct Directory {
    path: PathBuf,
    changed: Arc<Notify>,
    watched: Option<Watched>,
}

/// A watch belongs to a directory, not to its name, so both are kept.
struct Watched {
    identity: Identity,
    /// Watches until it is dropped.
    _watcher: RecommendedWatcher,
}

/// Device and inode.
type Identity = (u64, u64);

impl Directory {
    /// The directory that holds the name `file`, which may be a symlink to elsewhere.
    pub(super) fn of(file: &Path) -> Self {
        let parent = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        Self {
            path: parent.unwrap_or(Path::new(".")).to_owned(),
            changed: Arc::default(),
            watched: None,
        }
    }

    /// Watches the directory unless that is done already; one that was made anew is another one.
    pub(super) fn watch(&mut self) {
        let Some(identity) = identity(&self.path) else {
            self.watched = None;
            return;
        };
        if self
            .watched
            .as_ref()
            .is_some_and(|watched| watched.identity == identity)
        {
            return;
        }
        self.watched = None;
        match self.watcher() {
            Ok(watcher) => {
                self.watched = Some(Watched {
                    identity,
                    _watcher: watcher,
                });
            }
            Err(error) => tracing::debug!(
                directory = %self.path.display(),
                %error,
                "no events from this directory, it is polled"
            ),
        }
    }

    /// Waits for an event since the last call. Events that come together count as one.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let changed = Arc::clone(&self.changed);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // An error means that events were lost.
                if event.map_or(true, |event| is_change(event.kind)) {
                    changed.notify_one();
                }
            })?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

/// Our own reading makes events too; answering those would never end.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
