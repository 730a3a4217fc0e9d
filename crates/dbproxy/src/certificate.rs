//! The certificate that clients see: signed by itself, made at the start, renewed before its end.
//! It encrypts for clients that insist (`sslmode=require`) and proves nothing: all of it is loopback.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use program::logs::chain;

use crate::pgbouncer::Console;
use crate::private;

const LIFE: Duration = Duration::from_hours(90 * 24);
/// A clock that was set may be behind for a while.
const BACKDATED: Duration = Duration::from_hours(24);
/// Renewed after so much of its life.
const RENEWED_AFTER: Duration = Duration::from_hours(60 * 24);
/// How often the wall clock is looked at: a node may sleep.
const LOOK: Duration = Duration::from_mins(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no certificate could be made for clients")]
    Make(#[source] rcgen::Error),
    #[error("{path} can't be written; the folder of -pbc must be writable")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// One file with key and certificate, so that the two always fit together.
#[derive(Debug)]
pub(crate) struct Certificate {
    path: PathBuf,
    made: SystemTime,
}

impl Certificate {
    /// Writes a new one to `path`.
    pub(crate) fn make(path: &Path, now: SystemTime) -> Result<Self, Error> {
        let pem = pem(now).map_err(Error::Make)?;
        private::replace(path, &pem).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            made: now,
        })
    }

    /// Renews it in time until `token` is cancelled.
    pub(crate) async fn keep(mut self, console: &Console, token: CancellationToken) {
        while token
            .run_until_cancelled(tokio::time::sleep(LOOK))
            .await
            .is_some()
        {
            let now = SystemTime::now();
            if !self.is_due(now) {
                continue;
            }
            match Self::make(&self.path, now) {
                Ok(renewed) => {
                    self = renewed;
                    tracing::info!("certificate for clients renewed");
                }
                Err(err) => {
                    tracing::warn!(error = chain(&err), "certificate for clients not renewed");
                    continue;
                }
            }
            // One that is not running reads it when it starts.
            if let Err(err) = console.reload().await {
                tracing::debug!(
                    error = chain(&err),
                    "PgBouncer was not told of the certificate"
                );
            }
        }
    }

    /// Also if the clock went back to before it was made.
    fn is_due(&self, now: SystemTime) -> bool {
        now.duration_since(self.made)
            .map_or(true, |age| age >= RENEWED_AFTER)
    }
}

fn pem(now: SystemTime) -> Result<SecretString, rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = |since_epoch| date_time_ymd(1970, 1, 1) + since_epoch;
    params.not_before = date(since_epoch.saturating_sub(BACKDATED));
    params.not_after = date(since_epoch.saturating_add(LIFE));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_well_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let (path, made) = (folder.path().join("tls.pem"), SystemTime::now());
        let certificate = Certificate::make(&path, made).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert!(first.contains("PRIVATE KEY") && first.contains("BEGIN CERTIFICATE"));
        assert!(!certificate.is_due(made + RENEWED_AFTER - LOOK));
        assert!(certificate.is_due(made + RENEWED_AFTER));
        assert!(RENEWED_AFTER + LOOK < LIFE);
        Certificate::make(&path, made).unwrap();
        assert_ne!(std::fs::read_to_string(&path).unwrap(), first);
    }
}
