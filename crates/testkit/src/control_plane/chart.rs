//! What the Helm chart installs, without the pods: its RBAC is what the tests run under.

use std::process::Command;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::discovery::Scope;
use serde_json::{Value, json};

use super::{ClusterAccess, objects};
use crate::assets::{control_plane, helm, tools, workspace};

/// Kinds that only make sense with nodes, or that [`ClusterAccess::install_crds`] has put there.
const LEFT_OUT: [&str; 2] = ["Deployment", "CustomResourceDefinition"];

/// A registration would ask a Service without pods before each deletion of a claim, so these wait
/// for [`ClusterAccess::register_webhook`].
const REGISTRATIONS: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Rules that hold for every claim of a class in the whole cluster, and so for other tests too: they
/// wait for [`ClusterAccess::enforce_policies`].
const POLICIES: [&str; 2] = [
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// How the arguments of the pods begin that concern the webhook.
const WEBHOOK_FLAGS: [&str; 5] = [
    "--webhook",
    "--unknown",
    "--sidecar",
    "--enable",
    "--dbproxy",
];

/// The objects of one release.
#[derive(Debug)]
pub struct InstalledChart {
    namespace: String,
    /// The ServiceAccount that the Deployment would run under.
    pub service_account: String,
    /// The config file that the Deployment would mount.
    pub config: String,
    /// What of the Deployment's arguments and environment concerns the webhook.
    pub webhook_args: Vec<String>,
    pub webhook_env: Vec<(String, String)>,
    registrations: Vec<DynamicObject>,
    policies: Vec<DynamicObject>,
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
        let (webhook_args, webhook_env) = webhook_of(&rendered);
        let client = self.client().await?;
        let is_wanted = |object: &DynamicObject| !LEFT_OUT.contains(&objects::kind(object));
        let is_registration =
            |object: &DynamicObject| REGISTRATIONS.contains(&objects::kind(object));
        let (registrations, objects): (Vec<_>, Vec<_>) = rendered
            .into_iter()
            .filter(is_wanted)
            .partition(is_registration);
        let is_policy = |object: &DynamicObject| POLICIES.contains(&objects::kind(object));
        let (policies, objects): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_policy);
        for object in &objects {
            objects::apply(&client, ns, object).await?;
        }
        Ok(InstalledChart {
            namespace: ns.to_owned(),
            service_account,
            config,
            webhook_args,
            webhook_env,
            registrations,
            policies,
            objects,
        })
    }

    /// Puts the release's webhook into force. Its Service leads to this machine, where a process
    /// with the chart's `webhook_args` is to answer at the port of the chart's values.
    pub async fn register_webhook(&self, chart: &InstalledChart) -> Result<()> {
        let client = self.client().await?;
        let of_release = |object: &&DynamicObject| objects::kind(object) == "Service";
        let service = chart.objects.iter().find(of_release);
        let name = service.context("the chart has no Service")?.name_any();
        let services = Api::<Service>::namespaced(client.clone(), &chart.namespace);
        services.delete(&name, &DeleteParams::default()).await?;
        let service = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "type": "ExternalName", "externalName": "localhost" },
        }))?;
        services.create(&PostParams::default(), &service).await?;
        for object in &chart.registrations {
            objects::apply(&client, &chart.namespace, object).await?;
        }
        Ok(())
    }

    /// Puts the release's admission policies into force, for the whole cluster.
    pub async fn enforce_policies(&self, chart: &InstalledChart) -> Result<()> {
        let client = self.client().await?;
        for object in &chart.policies {
            objects::apply(&client, &chart.namespace, object).await?;
        }
        Ok(())
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

/// Arguments and environment; a variable without a plain value is left out.
fn webhook_of(objects: &[DynamicObject]) -> (Vec<String>, Vec<(String, String)>) {
    let mut deployments = objects
        .iter()
        .filter(|object| objects::kind(object) == "Deployment");
    let container =
        deployments.find_map(|object| object.data.pointer("/spec/template/spec/containers/0"));
    let list = |name: &str| {
        let list = container.and_then(|container| container.get(name)?.as_array());
        list.into_iter().flatten()
    };
    let args = list("args").filter_map(Value::as_str);
    let args = args.filter(|arg| WEBHOOK_FLAGS.iter().any(|flag| arg.starts_with(flag)));
    let env = list("env").filter_map(|variable| {
        let (name, value) = (variable.get("name")?, variable.get("value")?);
        Some((name.as_str()?.to_owned(), value.as_str()?.to_owned()))
    });
    (args.map(str::to_owned).collect(), env.collect())
}

fn config_of(objects: &[DynamicObject]) -> Result<String> {
    let mut maps = objects
        .iter()
        .filter(|object| objects::kind(object) == "ConfigMap");
    maps.find_map(|map| map.data.get("data")?.get("config.yaml")?.as_str())
        .map(ToOwned::to_owned)
        .context("the chart has no ConfigMap with a config.yaml")
}
