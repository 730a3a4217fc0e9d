//! Installed by helm as the README says, upgraded and removed, on a cluster that takes restricted
//! pods only.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;
use testkit::assets::{helm, workspace};
use testkit::control_plane::{ControlPlane, ControlPlaneOptions};
use testkit::wait::wait_for;

const NAMESPACE: &str = "db-controller";

/// The first shell block of the README that installs.
fn readme_command() -> Result<String> {
    let text = std::fs::read_to_string(workspace().join("README.md"))?;
    let mut blocks = text.split("```sh\n").skip(1);
    let block = blocks.find(|block| block.starts_with("helm install"));
    let (command, _) = block
        .and_then(|block| block.split_once("```"))
        .context("README.md installs nothing")?;
    Ok(command.replace("<your registry>", "registry.example"))
}

/// Runs a shell command of the documents from the repository's root; returns what it prints.
fn shell(command: &str, kubeconfig: &Path) -> Result<String> {
    let helm = helm::binary()?;
    let folder = helm.parent().context("helm lies in a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-euc", command])
        .current_dir(workspace())
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", format!("{}:{path}", folder.display()))
        .output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {words}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn restricted_namespace(control_plane: &ControlPlane) -> Result<()> {
    let enforce = "pod-security.kubernetes.io/enforce";
    let object = json!({ "metadata": { "name": NAMESPACE, "labels": { enforce: "restricted" } } });
    let namespaces: Api<Namespace> = Api::all(control_plane.client().await?);
    let object = serde_json::from_value(object)?;
    namespaces.create(&PostParams::default(), &object).await?;
    Ok(())
}

async fn pods_are(control_plane: &ControlPlane, number: usize) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(control_plane.client().await?, NAMESPACE);
    wait_for(format!("{number} pods"), async || {
        let found = pods.list(&ListParams::default()).await?.items.len();
        ensure!(found == number, "{found} pods");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn row_90_the_release_installs_upgrades_and_leaves_claims_behind() -> Result<()> {
    let control_plane = ControlPlane::start(ControlPlaneOptions::default()).await?;
    let kubeconfig = control_plane.kubeconfig_path();
    restricted_namespace(&control_plane).await?;
    let helm = |command: &str| shell(command, &kubeconfig);

    let install = readme_command()?;
    helm(&install)?;
    // The cluster admits the pods, which have no node to run on.
    pods_are(&control_plane, 2).await?;

    let upgrade = format!(
        "helm upgrade db-controller charts/db-controller --namespace {NAMESPACE} --reuse-values \
         --set replicaCount=3 --set replicas=3 --set metrics.secre=true"
    );
    let notes = helm(&upgrade)?;
    for unknown in ["replicas", "metrics.secre"] {
        let words = format!("WARNING: the value `{unknown}` is unknown");
        assert!(notes.contains(&words), "{notes}");
    }
    assert_eq!(notes.matches("is unknown").count(), 2, "{notes}");
    pods_are(&control_plane, 3).await?;
    let client = control_plane.client().await?;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
    assert_eq!(budgets.list(&ListParams::default()).await?.items.len(), 1);

    let claims: Api<DatabaseClaim> = Api::namespaced(client, "default");
    let claim = json!({
        "metadata": { "name": "orders" }, "spec": { "userName": "clerk", "databaseName": "orders" }
    });
    let claim = serde_json::from_value(claim)?;
    let uid = claims
        .create(&PostParams::default(), &claim)
        .await?
        .metadata
        .uid;
    helm(&format!(
        "helm uninstall db-controller --namespace {NAMESPACE}"
    ))?;
    pods_are(&control_plane, 0).await?;
    helm(&install)?;
    pods_are(&control_plane, 2).await?;
    assert_eq!(claims.get("orders").await?.metadata.uid, uid);
    control_plane.stop().await
}
