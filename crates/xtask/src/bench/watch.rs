//! Sees when claims become what is waited for, by watching, as a user's client would.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use api::claim::DatabaseClaim;
use api::conditions::{self, Type};
use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::stage::NAMESPACE;

/// Longer than any measurement should take.
const PATIENCE: Duration = Duration::from_mins(4);

/// A watch on all claims that remembers when it saw what.
pub(super) struct Watch {
    events: mpsc::UnboundedReceiver<(Instant, DatabaseClaim)>,
    task: AbortHandle,
}

impl Watch {
    /// Returns when the watch is under way: what happens from then on is seen.
    pub(super) async fn start(client: Client) -> Result<Self> {
        let (send, events) = mpsc::unbounded_channel();
        let (tell, under_way) = oneshot::channel();
        let task = tokio::spawn(async move {
            let claims = Api::<DatabaseClaim>::namespaced(client, NAMESPACE);
            let stream = watcher::watcher(claims, watcher::Config::default());
            pin_mut!(stream);
            let mut tell = Some(tell);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(Event::Apply(claim)) => drop(send.send((Instant::now(), claim))),
                    Ok(Event::InitDone) => {
                        tell.take().map(|tell| tell.send(()));
                    }
                    _ => {}
                }
            }
        });
        let task = task.abort_handle();
        under_way.await?;
        Ok(Self { events, task })
    }

    /// Waits until `count` different claims were seen as `is_wanted`; returns when each was first.
    pub(super) async fn until(
        &mut self,
        count: usize,
        is_wanted: impl Fn(&DatabaseClaim) -> bool,
    ) -> Result<HashMap<String, Instant>> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = HashMap::new();
        while seen.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(Some((at, claim))) = tokio::time::timeout(left, self.events.recv()).await else {
                bail!("only {} of {count} claims in {PATIENCE:?}", seen.len());
            };
            if is_wanted(&claim) {
                seen.entry(claim.name_any()).or_insert(at);
            }
        }
        Ok(seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn is_ready(claim: &DatabaseClaim) -> bool {
    let status = claim.status.as_ref();
    status.is_some_and(|status| conditions::is_true(&status.conditions, Type::Ready))
}

/// Whether the claim's last rotation was the one asked for by `nonce`.
pub(super) fn has_handled(claim: &DatabaseClaim, nonce: &str) -> bool {
    let rotation = claim
        .status
        .as_ref()
        .and_then(|status| status.rotation.as_ref());
    rotation.is_some_and(|rotation| rotation.handled_nonce.as_deref() == Some(nonce))
}
