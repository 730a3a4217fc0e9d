//! A release on the node's cluster: the chart's registrations, rights and arguments, with a Service
//! that leads to processes of the test instead of pods.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt, discovery};
use serde_json::json;
use testkit::assets::images;
use testkit::control_plane::ControlPlane;
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::process::free_port;

use crate::helm::{NAMESPACE, RELEASE, Rendered, kind_of};

pub(crate) struct Release {
    rendered: Rendered,
    kubeconfig: String,
    class: String,
}

impl Release {
    /// Installs the chart for claims and pods of `class`; releases differ by it.
    pub(crate) async fn install(control_plane: &ControlPlane, class: &str) -> Result<Self> {
        let (port, tag, name) = (free_port()?, images::TAG, name_of(class));
        let values = format!(
            "fullnameOverride: {name}\ndbController: {{class: {class}}}\n\
             webhook: {{port: {port}}}\nservice: {{port: {port}}}\n\
             dbproxy: {{image: {{tag: {tag}}}}}\n\
             dsnexec: {{enabled: true, image: {{tag: {tag}}}}}\n"
        );
        let chart = control_plane
            .install_chart(RELEASE, NAMESPACE, &values)
            .await?;
        let client = control_plane.client().await?;
        lead_to_this_machine(&client, &name).await?;
        let rendered = Rendered::from(&values)?;
        for object in &rendered.objects {
            if kind_of(object).ends_with("WebhookConfiguration") {
                apply(&client, object).await?;
            }
        }
        let account = &chart.service_account;
        let kubeconfig = control_plane
            .service_account_kubeconfig(NAMESPACE, account)
            .await?;
        Ok(Self {
            rendered,
            kubeconfig,
            class: class.to_owned(),
        })
    }

    /// One replica, with the arguments and the environment of the release's pods.
    pub(crate) async fn controller(&self) -> Result<ControllerProcess> {
        let of_webhook = [
            "--webhook",
            "--unknown",
            "--sidecar",
            "--enable",
            "--dbproxy",
        ];
        let is_its = |argument: &String| of_webhook.iter().any(|flag| argument.starts_with(flag));
        let env = self.rendered.container()?["env"]
            .as_array()
            .context("env")?;
        let env = env.iter().filter_map(|variable| {
            let (name, value) = (variable["name"].as_str()?, variable["value"].as_str()?);
            Some((name.to_owned(), value.to_owned()))
        });
        let arguments = self.rendered.arguments()?;
        ControllerProcess::start(ControllerOptions {
            kubeconfig: self.kubeconfig.clone(),
            class: self.class.clone(),
            namespace: NAMESPACE.to_owned(),
            args: arguments.into_iter().filter(is_its).collect(),
            env: env.collect(),
            ..ControllerOptions::default()
        })
        .await
    }

    /// The Secret with the webhook's certificate.
    pub(crate) fn certificate(&self) -> String {
        format!("{}-webhook", name_of(&self.class))
    }
}

/// The full name of a release.
fn name_of(class: &str) -> String {
    format!("release-{class}")
}

/// The API server runs beside the tests, not beside the pods.
async fn lead_to_this_machine(client: &Client, name: &str) -> Result<()> {
    let services = Api::<Service>::namespaced(client.clone(), NAMESPACE);
    services.delete(name, &DeleteParams::default()).await?;
    let service = json!({
        "metadata": { "name": name },
        "spec": { "type": "ExternalName", "externalName": "localhost" },
    });
    let service = serde_json::from_value(service)?;
    services.create(&PostParams::default(), &service).await?;
    Ok(())
}

async fn apply(client: &Client, object: &DynamicObject) -> Result<()> {
    let types = object.types.as_ref().context("an object without kind")?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, _) = discovery::pinned_kind(client, &kind).await?;
    let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let params = PatchParams::apply("helm").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object))
        .await?;
    Ok(())
}
