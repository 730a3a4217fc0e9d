use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::json;
use testkit::assets::images;
use testkit::control_plane::{ControlPlane, ControlPlaneOptions};
use testkit::node::{Node, obstacle};
use testkit::wait::wait_for;

/// What would outlive the processes.
fn traces() -> Vec<String> {
    let pid = std::process::id();
    let paths = [
        format!("/sys/class/net/dbcnode{pid}"),
        format!("/sys/fs/cgroup/memory/db-controller-node-{pid}"),
        format!("/sys/fs/cgroup/cpuset/db-controller-node-{pid}"),
    ];
    let there = paths.into_iter().filter(|path| Path::new(path).exists());
    there.collect()
}

async fn run_to_the_end(control_plane: &ControlPlane, node: &Node, name: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(control_plane.client().await?, "default");
    let pod = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "restartPolicy": "Never", "containers": [{
            "name": "app", "image": images::CLIENT, "imagePullPolicy": "Never",
            "command": ["sh", "-c", "echo good morning"],
        }] },
    }))?;
    // The controller manager makes the namespace's account a moment after the namespace.
    wait_for("a pod to be created", async || {
        Ok(Some(pods.create(&PostParams::default(), &pod).await?))
    })
    .await?;
    let pod = wait_for("a pod to end", async || {
        let pod = pods.get(name).await?;
        let status = pod.status.as_ref().context("no status")?;
        ensure!(status.phase.as_deref() == Some("Succeeded"), "{status:?}");
        Ok(Some(pod))
    })
    .await?;
    ensure!(node.output(&pod, "app")? == "good morning\n");
    Ok(())
}

#[tokio::test]
async fn a_node_runs_pods_before_and_after_its_kubelet_restarts_and_leaves_no_trace() -> Result<()>
{
    if let Some(obstacle) = obstacle() {
        eprintln!("SKIPPED, no node can run here: {obstacle}");
        return Ok(());
    }
    let images = tokio::task::spawn_blocking(images::build);
    let control_plane = ControlPlane::start(ControlPlaneOptions::default()).await?;
    let node = Node::start(&control_plane, images::CLIENT).await?;
    for image in images.await?? {
        node.import(&image).await?;
    }
    run_to_the_end(&control_plane, &node, "first").await?;
    node.restart_kubelet().await?;
    run_to_the_end(&control_plane, &node, "second").await?;
    assert_eq!(traces().len(), 3);
    node.stop().await?;
    assert_eq!(traces(), [""; 0]);
    control_plane.stop().await
}
