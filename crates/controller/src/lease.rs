//! Leadership by Lease: only the leader writes to servers and claims.
//! Correctness never rests on it; two leaders cost retries, not a login (docs/architecture.md).

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams};
use tokio_util::sync::CancellationToken;

use crate::error::chain;

/// As the original has them: a lease lasts 15 s, is renewed for at most 10 s, tried every 2 s.
const DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

pub struct Leadership {
    leases: Api<Lease>,
    name: String,
    identity: String,
}

/// A Lease that somebody else holds, and since when we have seen it unchanged.
struct Rival {
    version: Option<String>,
    seen: Instant,
}

impl Leadership {
    pub fn new(client: Client, namespace: &str, class: &str, identity: &str) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: api::names::lease(class),
            identity: identity.to_owned(),
        }
    }

    /// Waits until the Lease is ours. `false`: the token ended first.
    pub async fn acquire(&self, token: &CancellationToken) -> bool {
        let (mut rival, mut told) = (None, String::new());
        loop {
            match self.try_take(&mut rival).await {
                Ok(true) => {
                    tracing::info!(lease = self.name, identity = self.identity, "leading");
                    return true;
                }
                Ok(false) => {}
                // Said once in the same words: a replica that may not lead would say no more.
                Err(err) if chain(&err) == told => {
                    tracing::debug!(error = told, "lease not taken");
                }
                Err(err) => {
                    told = chain(&err);
                    tracing::warn!(lease = self.name, error = told, "lease not taken");
                }
            }
            tokio::select! {
                biased;
                () = token.cancelled() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Keeps the Lease until it is lost or the token ends. `true`: it was lost.
    pub async fn keep(&self, token: &CancellationToken) -> bool {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            let mut nobody = None;
            match tokio::time::timeout(left, self.try_take(&mut nobody)).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) if nobody.is_some() => {
                    tracing::error!(lease = self.name, "the lease was taken by another replica");
                    return true;
                }
                Ok(Err(err)) => tracing::warn!(error = chain(&err), "lease not renewed"),
                // Time is up, or somebody wrote to the Lease without taking it: it is read again.
                Ok(Ok(false)) | Err(_) => {}
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                tracing::error!(lease = self.name, "the lease could not be renewed in time");
                return true;
            }
        }
    }

    /// Gives the Lease up, so that another replica need not wait for its end.
    pub async fn release(&self) {
        let Ok(Some(mut lease)) = self.leases.get_opt(&self.name).await else {
            return;
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return;
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        if let Err(err) = self
            .leases
            .replace(&self.name, &PostParams::default(), &lease)
            .await
        {
            tracing::debug!(error = chain(&err), "lease not released");
        }
    }

    /// Takes or renews the Lease on the version that was read: of two that try, one gets it.
    async fn try_take(&self, rival: &mut Option<Rival>) -> Result<bool, kube::Error> {
        let now = Timestamp::now();
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.name.clone());
            lease.spec = Some(self.spec(None, now));
            let created = self.leases.create(&PostParams::default(), &lease).await;
            return won(created.map(|_| ()));
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec
            .holder_identity
            .clone()
            .filter(|holder| !holder.is_empty());
        if holder.is_some_and(|holder| holder != self.identity) {
            let version = lease.metadata.resource_version.clone();
            if !is_over(rival, version, &spec) {
                lease.spec = Some(spec);
                return Ok(false);
            }
        }
        lease.spec = Some(self.spec(Some(&spec), now));
        let replaced = self
            .leases
            .replace(&self.name, &PostParams::default(), &lease)
            .await;
        won(replaced.map(|_| ()))
    }

    fn spec(&self, before: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let is_ours =
            before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: before
                .filter(|_| is_ours)
                .and_then(|spec| spec.acquire_time.clone())
                .or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if is_ours {
                transitions
            } else {
                transitions + 1
            }),
            ..LeaseSpec::default()
        }
    }
}

/// Whether a rival's Lease has stood unchanged for its whole duration by our own clock: the clocks
/// of two machines need not agree.
fn is_over(rival: &mut Option<Rival>, version: Option<String>, spec: &LeaseSpec) -> bool {
    let seconds = spec
        .lease_duration_seconds
        .and_then(|s| u64::try_from(s).ok())
        .unwrap_or(15);
    match rival {
        Some(known) if known.version == version => {
            known.seen.elapsed() >= Duration::from_secs(seconds)
        }
        _ => {
            *rival = Some(Rival {
                version,
                seen: Instant::now(),
            });
            false
        }
    }
}

/// A conflict means that somebody else was faster.
fn won(outcome: Result<(), kube::Error>) -> Result<bool, kube::Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(err) => Err(err),
    }
}
