//! What a person would do to a pod's containers on its node.

use std::fs;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use super::Node;
use crate::assets::run;

impl Node {
    /// Sends a signal to the first process of a container, such as `SIGKILL`.
    pub async fn signal_container(&self, pod: &Pod, container: &str, signal: &str) -> Result<()> {
        let status = status_of(pod, container)?;
        let id = status.container_id.as_deref().unwrap_or_default();
        let id = id.strip_prefix("containerd://").context("no container")?;
        let mut kill = self.ctr();
        kill.args(["tasks", "kill", "--signal", signal, id]);
        tokio::task::spawn_blocking(move || run(&mut kill)).await??;
        Ok(())
    }

    /// The text of a key in a Secret's volume, as the pod sees it now.
    pub fn mounted(&self, pod: &Pod, volume: &str, key: &str) -> Result<String> {
        let uid = pod.uid().context("a pod without UID")?;
        let below = format!("kubelet/pods/{uid}/volumes/kubernetes.io~secret/{volume}/{key}");
        // Mounts of the node's namespace are seen through its first process.
        let (first, path) = (self.first_process()?, self.workdir.join(&below));
        let path = format!("/proc/{first}/root{}", path.display());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    /// What a container has printed, each restart's output after the one before.
    pub fn output(&self, pod: &Pod, container: &str) -> Result<String> {
        let (ns, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let uid = pod.uid().context("a pod without UID")?;
        let folder = self.workdir.join("pods");
        let folder = folder.join(format!("{ns}_{name}_{uid}")).join(container);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        let mut output = String::new();
        for file in files {
            for line in fs::read_to_string(file)?.lines() {
                // Time, stream and `F` for a full line come first.
                output.push_str(line.splitn(4, ' ').nth(3).unwrap_or_default());
                output.push('\n');
            }
        }
        Ok(output)
    }
}

/// A sidecar may be an init container.
fn status_of<'a>(pod: &'a Pod, container: &str) -> Result<&'a ContainerStatus> {
    let status = pod.status.as_ref().context("a pod without status")?;
    let all = [&status.init_container_statuses, &status.container_statuses];
    let mut all = all.into_iter().flatten().flatten();
    all.find(|status| status.name == container)
        .with_context(|| format!("no container {container}"))
}
