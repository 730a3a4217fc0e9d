//! Pods with sidecars: what is created, waited for, and asked.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{ResourceExt, discovery};
use serde_json::{Value, json};
use testkit::assets::images;
use testkit::http;
use testkit::wait::wait_for;

use crate::place::{CLAIM, Place};
use crate::support::merge;

const PREFIX: &str = "persistance.atlas.infoblox.com/";

/// The credential in use, by its number since the proxy started.
const GENERATION: &str = "dbproxy_credential_generation";

impl Place<'_> {
    /// Metadata and spec of a pod called `app` that gets the proxy; each container is a name and a
    /// script. `more` is merged over it.
    pub(crate) fn template(&self, app: &str, scripts: &[(&str, &str)], more: Value) -> Value {
        let container = |(name, script): &(&str, &str)| {
            json!({
                "name": name, "image": images::CLIENT, "imagePullPolicy": "Never",
                "command": ["sh", "-c", script],
            })
        };
        let containers: Vec<_> = scripts.iter().map(container).collect();
        let mut template = json!({
            "metadata": { "labels": {
                "app": app,
                format!("{PREFIX}claim"): CLAIM,
                format!("{PREFIX}class"): self.class,
                format!("{PREFIX}dbproxy"): "enabled",
            }},
            "spec": { "containers": containers, "terminationGracePeriodSeconds": 1 },
        });
        merge(&mut template, more);
        template
    }

    /// Creates any object in the story's namespace.
    pub(crate) async fn create(&self, api_version: &str, kind: &str, body: Value) -> Result<()> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let (client, ns) = (self.stage.client.clone(), &self.stage.namespace);
        let (resource, _) = discovery::pinned_kind(&client, &gvk).await?;
        let api = Api::<DynamicObject>::namespaced_with(client, ns, &resource);
        let mut object = json!({ "apiVersion": api_version, "kind": kind });
        merge(&mut object, body);
        let object = serde_json::from_value(object)?;
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("cannot create a {kind}"))?;
        Ok(())
    }

    /// A pod by itself.
    pub(crate) async fn pod(&self, app: &str, script: &str, more: Value) -> Result<()> {
        let mut pod = self.template(
            app,
            &[("app", script)],
            json!({ "metadata": { "name": app } }),
        );
        merge(&mut pod, more);
        self.create("v1", "Pod", pod).await
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.stage.client.clone(), &self.stage.namespace)
    }

    /// The one pod of an app; pods on their way out don't count.
    pub(crate) async fn pod_of(&self, app: &str) -> Result<Pod> {
        let params = ListParams::default().labels(&format!("app={app}"));
        let mut pods = self.pods().list(&params).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        ensure!(pods.len() == 1, "{} pods of {app}", pods.len());
        pods.pop().context("there is one")
    }

    /// Waits until all containers of an app's pod are ready, its sidecars too.
    pub(crate) async fn ready(&self, app: &str) -> Result<Pod> {
        wait_for(format!("the pod of {app} to be ready"), async || {
            let pod = self.pod_of(app).await?;
            let all = containers(&pod);
            let is_ready = all.len() > 1 && all.iter().all(|status| status.ready);
            ensure!(is_ready, "{}", serde_json::to_string(&pod.status)?);
            Ok(Some(pod))
        })
        .await
    }

    /// The pod as it is now.
    pub(crate) async fn again(&self, pod: &Pod) -> Result<Pod> {
        Ok(self.pods().get(&pod.name_any()).await?)
    }

    /// Waits until a pod has ended well.
    pub(crate) async fn succeeded(&self, pod: &Pod) -> Result<()> {
        wait_for(format!("{} to succeed", pod.name_any()), async || {
            let status = self.again(pod).await?.status;
            let phase = status.and_then(|status| status.phase);
            ensure!(phase.as_deref() == Some("Succeeded"), "{phase:?}");
            Ok(Some(()))
        })
        .await
    }

    /// Rotates once and waits until all these pods' proxies use the new credential.
    pub(crate) async fn rotate(&self, pods: &[Pod]) -> Result<()> {
        let before = generations(pods).await?;
        self.stage.rotate(CLAIM).await?;
        self.switched(pods, &before).await
    }

    /// Waits until all these pods' proxies use a newer credential than these.
    pub(crate) async fn switched(&self, pods: &[Pod], before: &[f64]) -> Result<()> {
        for (pod, before) in pods.iter().zip(before) {
            let what = format!("{} to use the new credential", pod.name_any());
            wait_for(what, async || {
                let now = metric(pod, GENERATION).await?;
                ensure!(now > *before, "it is {now}");
                Ok(Some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until a container has printed `words`; returns all that it printed.
    pub(crate) async fn says(&self, pod: &Pod, container: &str, words: &str) -> Result<String> {
        let what = format!("{} to say {words:?}", pod.name_any());
        wait_for(what, async || {
            let output = self.world.node.output(pod, container)?;
            let tail: String = output.chars().rev().take(500).collect();
            let tail: String = tail.chars().rev().collect();
            ensure!(output.contains(words), "its last words: {tail}");
            Ok(Some(output))
        })
        .await
    }
}

/// The statuses of all containers, init containers first.
pub(crate) fn containers(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let all = [&status.init_container_statuses, &status.container_statuses];
    all.into_iter().flatten().flatten().collect()
}

pub(crate) fn address(pod: &Pod) -> Result<&str> {
    let status = pod.status.as_ref().context("a pod without status")?;
    status.pod_ip.as_deref().context("a pod without address")
}

/// The number of the credential that each proxy uses.
pub(crate) async fn generations(pods: &[Pod]) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    for pod in pods {
        all.push(metric(pod, GENERATION).await?);
    }
    Ok(all)
}

/// A value of the proxy's metrics.
pub(crate) async fn metric(pod: &Pod, name: &str) -> Result<f64> {
    let page = http::get(&format!("{}:9127", address(pod)?), "/metrics").await?;
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}
