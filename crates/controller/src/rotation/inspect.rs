//! Answers who is logged in, and what would be done. A pass that answers changes nothing else; the
//! next one follows at once.

use api::claim::Inspection;
use engine::{
    catalog::{Catalog, Session},
    decide, inspection,
    observed::Observed,
};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{Pass, Subject};
use crate::error::{Error, chain};

/// So many steps are told.
const MOST_STEPS: usize = 50;

/// The label by which a ReplicaSet's pods tell which of its Deployment's it is.
const TEMPLATE_HASH: &str = "pod-template-hash";

impl<S: Subject> Pass<'_, S> {
    /// Answers a question that has no answer yet.
    pub(crate) async fn inspect(&self, observed: &Observed) -> Result<(), Error> {
        let Some(nonce) = &self.wishes.timing.asked.inspect else {
            return Ok(());
        };
        let (memory, uid) = (&self.context.memory, &self.wishes.claim.uid);
        let is_answered = self.subject.inspected() == Some(nonce.as_str())
            || memory.get(uid).inspected.as_ref() == Some(nonce);
        if is_answered {
            return Ok(());
        }
        let pods = pods(&self.context.client, &self.wishes.claim.namespace).await;
        let (now, sessions) = (self.context.now(), self.sessions(&observed.catalog).await);
        let mut plan = decide::plan(self.wishes, self.target.database, observed, now);
        plan.truncate(MOST_STEPS);
        self.subject
            .answer(Inspection {
                nonce: nonce.clone(),
                at: Some(now),
                plan,
                sessions: inspection::groups(&sessions, &pods),
                session_count: i64::try_from(sessions.len()).unwrap_or(i64::MAX),
            })
            .await?;
        memory.update(uid, |memory| memory.inspected = Some(nonce.clone()));
        Err(Error::Inspected)
    }

    /// The claim's sessions with their clients. On a session of its own: that it fails must harm
    /// nothing.
    pub(super) async fn sessions(&self, catalog: &Catalog) -> Vec<Session> {
        let mut catalog = catalog.clone();
        let admin = self.target.admin;
        let named = self.context.engines.name_clients(admin, &mut catalog);
        if let Err(err) = named.await {
            tracing::warn!(
                error = chain(&err),
                "sessions are told without their clients"
            );
        }
        catalog.sessions
    }
}

/// The pods of a namespace. Without the right to list them sessions are told by their addresses.
pub(crate) async fn pods(client: &Client, namespace: &str) -> Vec<inspection::Pod> {
    let params = ListParams::default().match_any();
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    match pods.list(&params).await {
        Ok(pods) => pods.iter().filter_map(fact).collect(),
        Err(err) => {
            tracing::warn!(error = chain(&err), "sessions are told without their pods");
            Vec::new()
        }
    }
}

/// A pod that ended has no address any more: another may have it.
fn fact(pod: &Pod) -> Option<inspection::Pod> {
    let status = pod.status.as_ref()?;
    let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let addresses = status
        .pod_ips
        .iter()
        .flatten()
        .map(|address| address.ip.clone());
    (!is_over).then(|| inspection::Pod {
        name: pod.name_any(),
        addresses: addresses.collect(),
        workload: workload(&pod.metadata),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        node_address: status.host_ip.clone(),
    })
}

/// What made a pod; of a Deployment's ReplicaSet, the Deployment.
fn workload(pod: &ObjectMeta) -> Option<String> {
    let mut owners = pod.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    let labels = pod.labels.as_ref();
    let hash = labels.and_then(|labels| labels.get(TEMPLATE_HASH));
    let deployment = hash
        .filter(|_| owner.kind == "ReplicaSet")
        .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    Some(match deployment {
        Some(name) => format!("Deployment/{name}"),
        None => format!("{}/{}", owner.kind, owner.name),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_told_with_what_made_it() {
        let owned = |kind: &str, name: &str| {
            let owner = json!({
                "apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true,
            });
            let pod = json!({
                "metadata": {
                    "name": "till-6c9-x", "labels": { "pod-template-hash": "6c9" },
                    "ownerReferences": [owner],
                },
                "spec": { "containers": [], "nodeName": "n1" },
                "status": {
                    "phase": "Running", "hostIP": "192.168.0.1",
                    "podIPs": [{ "ip": "10.0.0.7" }, { "ip": "fd00::7" }],
                },
            });
            fact(&serde_json::from_value(pod).unwrap()).unwrap()
        };
        let found = owned("ReplicaSet", "till-6c9");
        assert_eq!(found.workload.as_deref(), Some("Deployment/till"));
        assert_eq!(found.addresses, ["10.0.0.7", "fd00::7"]);
        assert_eq!(
            owned("ReplicaSet", "till").workload.as_deref(),
            Some("ReplicaSet/till")
        );
        assert_eq!(
            owned("Job", "night-6c9").workload.as_deref(),
            Some("Job/night-6c9")
        );
        let over = json!({ "metadata": {}, "status": { "phase": "Succeeded" } });
        assert_eq!(fact(&serde_json::from_value(over).unwrap()), None);
    }
}
