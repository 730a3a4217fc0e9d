//! The promise, watched: logs in without pause with whatever the Secret holds, and counts.
//!
//! A login that fails counts only if the Secret held the same content right before and right after
//! it: then a published DSN did not authenticate. Every failure does, whatever its cause, so stop
//! the prober before stopping the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use sqlx::Connection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{mongod, postgres::connect};

/// The Secret's key that holds the URI.
pub const URI_KEY: &str = "uri_dsn.txt";

/// Failures whose text is kept.
const KEPT_TEXTS: usize = 10;

/// What was seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeReport {
    /// Logins tried, each with what the Secret held at that moment.
    pub attempts: u64,
    /// Logins that failed although the Secret had not moved: the promise was broken.
    pub failures: u64,
    /// Logins that failed while the Secret moved: tried again with the new content.
    pub overtaken: u64,
    /// Different contents of the Secret that were used.
    pub credentials: u64,
    pub first_failures: Vec<String>,
}

/// A running prober; it ends when dropped.
pub struct Prober {
    report: Arc<Mutex<ProbeReport>>,
    token: CancellationToken,
    task: JoinHandle<()>,
}

impl Prober {
    /// Watches Secret `name` in `ns`. Until it exists there is nothing to try.
    pub fn start(client: Client, ns: &str, name: &str) -> Self {
        let report = Arc::new(Mutex::new(ProbeReport::default()));
        let token = CancellationToken::new();
        let probe = Probe {
            secrets: Api::namespaced(client, ns),
            name: name.to_owned(),
            report: Arc::clone(&report),
            last_version: String::new(),
        };
        let task = tokio::spawn(probe.run(token.clone()));
        Self {
            report,
            token,
            task,
        }
    }

    /// The counts of this moment.
    pub fn report(&self) -> ProbeReport {
        lock(&self.report).clone()
    }

    /// Lets the login under way finish and returns the counts.
    pub async fn stop(mut self) -> Result<ProbeReport> {
        self.token.cancel();
        (&mut self.task).await.context("the prober panicked")?;
        Ok(self.report())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Probe {
    secrets: Api<Secret>,
    name: String,
    report: Arc<Mutex<ProbeReport>>,
    last_version: String,
}

impl Probe {
    async fn run(mut self, token: CancellationToken) {
        while !token.is_cancelled() {
            // An API server that is away or a Secret that is not there yet: nothing is promised.
            if let Ok(Some(secret)) = self.secrets.get_opt(&self.name).await {
                self.attempt(&secret).await;
            } else {
                tokio::time::sleep(crate::process::POLL).await;
            }
        }
    }

    async fn attempt(&mut self, secret: &Secret) {
        let outcome = match uri_of(secret) {
            Ok(dsn) => log_in(&dsn).await,
            Err(err) => Err(err),
        };
        let overtaken = match &outcome {
            Ok(()) => false,
            Err(_) => self.has_moved(secret).await,
        };
        let version = secret.resource_version().unwrap_or_default();
        let mut report = lock(&self.report);
        report.attempts += 1;
        if version != self.last_version {
            report.credentials += 1;
            self.last_version = version;
        }
        match outcome {
            Ok(()) => {}
            Err(_) if overtaken => report.overtaken += 1,
            Err(err) => {
                report.failures += 1;
                if report.first_failures.len() < KEPT_TEXTS {
                    report.first_failures.push(format!("{err:#}"));
                }
            }
        }
    }

    /// Asks until the API server answers: without an answer nobody can blame the login.
    async fn has_moved(&self, before: &Secret) -> bool {
        loop {
            match self.secrets.get_opt(&self.name).await {
                Ok(after) => {
                    return after.and_then(|after| after.resource_version())
                        != before.resource_version();
                }
                Err(_) => tokio::time::sleep(crate::process::POLL).await,
            }
        }
    }
}

/// The DSN that a Secret publishes.
pub fn uri_of(secret: &Secret) -> Result<SecretString> {
    let bytes = secret
        .data
        .as_ref()
        .and_then(|data| data.get(URI_KEY))
        .with_context(|| format!("the Secret has no key {URI_KEY}"))?;
    let text =
        String::from_utf8(bytes.0.clone()).with_context(|| format!("{URI_KEY} is no text"))?;
    Ok(SecretString::from(text))
}

async fn log_in(dsn: &SecretString) -> Result<()> {
    if dsn.expose_secret().starts_with("mongodb") {
        return mongod::log_in(dsn).await;
    }
    let mut connection = connect(dsn).await?;
    connection
        .ping()
        .await
        .context("logged in, but the server does not answer")?;
    // The login has succeeded; how the session ends is not what is measured.
    let _ = connection.close().await;
    Ok(())
}

fn lock(report: &Mutex<ProbeReport>) -> MutexGuard<'_, ProbeReport> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
