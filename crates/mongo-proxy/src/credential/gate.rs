//! How often a refused password is tried: once, and again every [`RETRY`], whoever asks. Servers
//! lock out logins that fail too often.

use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

pub(crate) const RETRY: Duration = Duration::from_secs(15);

/// What is known of one login at one member.
#[derive(Default)]
pub(crate) struct Gate(Mutex<Known>);

#[derive(Default)]
pub(crate) struct Known {
    proven: Option<u64>,
    refused: Option<(u64, Instant)>,
}

/// Whether this version of a credential may be tried.
pub(crate) enum Permission<'a> {
    /// It has worked: many may log in at once.
    Proven,
    /// Nobody else tries it while this is held.
    Alone(MutexGuard<'a, Known>),
    /// It was refused a moment ago.
    Refused,
}

impl Gate {
    pub(crate) async fn ask(&self, version: u64) -> Permission<'_> {
        let known = self.0.lock().await;
        match known.refused {
            Some((refused, at)) if refused == version && at.elapsed() < RETRY => {
                Permission::Refused
            }
            _ if known.proven == Some(version) => Permission::Proven,
            _ => Permission::Alone(known),
        }
    }

    /// Whether this version has worked; not while one is being tried.
    pub(crate) fn has_proven(&self, version: u64) -> bool {
        let known = self.0.try_lock();
        known.is_ok_and(|known| known.proven == Some(version))
    }

    /// For those who had [`Permission::Proven`].
    pub(crate) async fn refuse(&self, version: u64) {
        self.0.lock().await.refuse(version);
    }
}

impl Known {
    pub(crate) fn prove(&mut self, version: u64) {
        self.proven = Some(version);
        self.refused = None;
    }

    pub(crate) fn refuse(&mut self, version: u64) {
        self.proven = None;
        self.refused = Some((version, Instant::now()));
    }
}
