//! Which pods mount a claim's Secret into a proxy, and where each proxy is asked.

use std::net::{IpAddr, SocketAddr};

use api::names::pod as names;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::{Api, Client, ResourceExt, api::ListParams};

use crate::error::Error;

/// A pod, and where its proxy is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Consumer {
    pub pod: String,
    pub address: SocketAddr,
}

/// More pods than one claim should have.
const MOST: usize = 500;

/// No label is longer, so no pod names a claim that is.
const LONGEST_LABEL: usize = 63;

/// The running pods that the webhook gave a proxy for the claim's Secret. Answered from the API
/// server's cache: who is missing in it is asked in the next round.
pub(super) async fn consumers(
    client: &Client,
    namespace: &str,
    claim: &str,
    secret: &str,
) -> Result<Vec<Consumer>, Error> {
    if claim.len() > LONGEST_LABEL {
        return Ok(Vec::new());
    }
    let (label, proxy, enabled) = (names::CLAIM, names::DBPROXY, names::ENABLED);
    let labels = format!("{label}={claim},{proxy}={enabled}");
    let params = ListParams::default().labels(&labels).match_any();
    let pods = Api::<Pod>::namespaced(client.clone(), namespace)
        .list(&params)
        .await
        .map_err(Error::kubernetes("list the claim's pods"))?;
    let consumers = pods.iter().filter_map(|pod| consumer(pod, secret));
    Ok(consumers.take(MOST).collect())
}

/// A pod in the host's network has the node's address, and what answers there is not its proxy;
/// the webhook gives it none.
fn consumer(pod: &Pod, secret: &str) -> Option<Consumer> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let is_live = pod.metadata.deletion_timestamp.is_none()
        && matches!(status.phase.as_deref(), Some("Pending" | "Running"));
    let is_injected = pod
        .annotations()
        .get(names::INJECTED_DBPROXY)
        .map(String::as_str)
        == Some(names::INJECTED);
    if !is_live || !is_injected || spec.host_network == Some(true) || !mounts(spec, secret) {
        return None;
    }
    let address: IpAddr = status.pod_ip.as_ref()?.parse().ok()?;
    is_a_pods(address).then_some(())?;
    let port = proxy(spec)?.env.iter().flatten();
    let mut port = port.filter(|variable| variable.name == names::DBPROXY_HEALTH_PORT);
    let port = port.next()?.value.as_ref()?.parse().ok()?;
    Some(Consumer {
        pod: pod.name_any(),
        address: SocketAddr::new(address, port),
    })
}

/// Never the controller's own machine.
fn is_a_pods(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

fn mounts(spec: &PodSpec, secret: &str) -> bool {
    let mut volumes = spec.volumes.iter().flatten();
    volumes.any(|volume| {
        let source = volume.secret.as_ref();
        let mounted = source.and_then(|source| source.secret_name.as_deref());
        volume.name == names::DBPROXY_VOLUME && mounted == Some(secret)
    })
}

fn proxy(spec: &PodSpec) -> Option<&Container> {
    let native = spec.init_containers.iter().flatten();
    let mut all = native.chain(&spec.containers);
    all.find(|container| container.name == names::DBPROXY_CONTAINER)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {
                "name": "till-1",
                "annotations": { names::INJECTED_DBPROXY: "true" },
            },
            "spec": {
                "containers": [{ "name": "till" }],
                "initContainers": [{
                    "name": "dbproxy",
                    "env": [{ "name": "DBPROXY_HEALTH_PORT", "value": "9187" }],
                }],
                "volumes": [{ "name": "dbproxydsn", "secret": { "secretName": "orders" } }],
            },
            "status": { "phase": "Running", "podIP": "10.1.0.7" },
        })
    }

    #[test]
    fn only_a_running_pod_with_a_proxy_on_this_secret_is_asked() {
        let asked = |pod: Value| consumer(&serde_json::from_value(pod).unwrap(), "orders");
        let found = asked(pod()).unwrap();
        assert_eq!(found.address, "10.1.0.7:9187".parse().unwrap());
        for (pointer, value) in [
            ("/metadata/annotations", json!({})),
            ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("/spec/hostNetwork", json!(true)),
            ("/spec/initContainers/0/name", json!("other")),
            ("/spec/initContainers/0/env/0/value", json!("http")),
            ("/spec/volumes/0/secret/secretName", json!("other")),
            ("/status/phase", json!("Succeeded")),
            ("/status/podIP", json!("127.0.0.1")),
            ("/status/podIP", json!("::1")),
            ("/status/podIP", json!("db.example.com")),
        ] {
            let mut pod = pod();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[key] = value;
            assert_eq!(asked(pod), None, "{pointer}");
        }
    }
}
