//! What the Helm chart installs, without the pods: its RBAC is what the tests run under.

use std::process::Command;

use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::discovery::Scope;

use super::{ClusterAccess, objects};
use crate::assets::{control_plane, helm, tools, workspace};

/// Kinds that only make sense with nodes, or that [`ClusterAccess::install_crds`] has put there.
/// A registration would ask a Service without pods before each deletion of a claim.
const LEFT_OUT: [&str; 4] = [
    "Deployment",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The objects of one release.
#[derive(Debug)]
pub struct InstalledChart {
    namespace: String,
    /// The ServiceAccount that the Deployment would run under.
    pub service_account: String,
    /// The config file that the Deployment would mount.
    pub config: String,
    objects: Vec<DynamicObject>,
}

impl ClusterAccess {
    /// Renders `charts/db-controller` as release `release` in `ns` and applies it.
    /// `values` is the content of a values file.
    pub async fn install_chart(
        &self,
        release: &str,
        ns: &str,
        values: &str,
    ) -> Result<InstalledChart> {
        let yaml = render(release.to_owned(), ns.to_owned(), values.to_owned()).await?;
        let rendered = objects::parse(&yaml)?;
        let service_account = service_account_of(&rendered)?;
        let config = config_of(&rendered)?;
        let client = self.client().await?;
        let objects: Vec<_> = rendered
            .into_iter()
            .filter(|object| !LEFT_OUT.contains(&objects::kind(object)))
            .collect();
        for object in &objects {
            objects::apply(&client, ns, object).await?;
        }
        Ok(InstalledChart {
            namespace: ns.to_owned(),
            service_account,
            config,
            objects,
        })
    }

    /// Removes the release's objects outside its namespace; the others go with the namespace.
    pub async fn uninstall_chart(&self, chart: &InstalledChart) -> Result<()> {
        let client = self.client().await?;
        for object in &chart.objects {
            if matches!(objects::scope_of(&client, object).await?, Scope::Cluster) {
                objects::delete(&client, &chart.namespace, object).await?;
            }
        }
        Ok(())
    }
}

async fn render(release: String, ns: String, values: String) -> Result<String> {
    let rendering = move || {
        let helm = helm::binary()?;
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), values)?;
        tools::run(
            Command::new(helm)
                .args(["template", &release])
                .arg(workspace().join("charts/db-controller"))
                .args([
                    "--kube-version",
                    &control_plane::version(),
                    "--namespace",
                    &ns,
                    "--values",
                ])
                .arg(file.path()),
        )
    };
    tokio::task::spawn_blocking(rendering).await?
}

fn service_account_of(objects: &[DynamicObject]) -> Result<String> {
    let deployment = objects
        .iter()
        .find(|object| objects::kind(object) == "Deployment");
    let named = deployment
        .and_then(|object| {
            object
                .data
                .pointer("/spec/template/spec/serviceAccountName")
        })
        .and_then(|name| name.as_str().map(ToOwned::to_owned));
    named
        .or_else(|| {
            let account = objects
                .iter()
                .find(|object| objects::kind(object) == "ServiceAccount");
            account.map(ResourceExt::name_any)
        })
        .context("the chart has no ServiceAccount")
}

fn config_of(objects: &[DynamicObject]) -> Result<String> {
    let mut maps = objects
        .iter()
        .filter(|object| objects::kind(object) == "ConfigMap");
    maps.find_map(|map| map.data.get("data")?.get("config.yaml")?.as_str())
        .map(ToOwned::to_owned)
        .context("the chart has no ConfigMap with a config.yaml")
}
