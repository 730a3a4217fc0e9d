//! The release's registrations reach its controller: the very objects that the chart renders, with
//! a Service that leads to a process of the test instead of pods.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::assets::workspace;
use testkit::control_plane::{ControlPlane, ControlPlaneOptions, InstalledChart};
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::process::with_free_ports;
use testkit::wait::wait_for;
use testkit::{TestEnv, env};

use super::helm::{NAMESPACE, RELEASE};
use crate::support::{Stage, merge};

const SHOP: &str = "shop";
const FULLNAME: &str = "blue-db-controller";

/// A cluster with the release's registrations and one replica of its controller.
struct Installed<'a> {
    env: &'a TestEnv,
    chart: InstalledChart,
    kubeconfig: String,
    shop: Stage,
}

impl<'a> Installed<'a> {
    async fn new(env: &'a TestEnv, control_plane: &ControlPlane, port: u16) -> Result<Self> {
        for namespace in [NAMESPACE, SHOP] {
            control_plane.create_namespace(namespace).await?;
        }
        let crds = workspace().join("config/crd");
        control_plane.install_crds(&crds).await?;
        let values = format!(
            "webhook: {{port: {port}}}\nservice: {{port: {port}}}\ndsnexec: {{enabled: true}}\n\
             deprecationConversionWebhook: {{enabled: true}}\n"
        );
        let chart = control_plane
            .install_chart(RELEASE, NAMESPACE, &values)
            .await?;
        control_plane.register_webhook(&chart).await?;
        let kubeconfig = control_plane
            .service_account_kubeconfig(NAMESPACE, &chart.service_account)
            .await?;
        let (client, namespace) = (control_plane.client().await?, SHOP.to_owned());
        let shop = Stage { client, namespace };
        Ok(Self {
            env,
            chart,
            kubeconfig,
            shop,
        })
    }

    /// One replica, with the arguments and the environment of the release's pods.
    async fn controller(&self) -> Result<ControllerProcess> {
        let options = ControllerOptions {
            kubeconfig: self.kubeconfig.clone(),
            class: "default".to_owned(),
            namespace: NAMESPACE.to_owned(),
            args: self.chart.webhook_args.clone(),
            env: self.chart.webhook_env.clone(),
            ..ControllerOptions::default()
        };
        self.env.start_controller(options).await
    }

    async fn claim(&self, name: &str, spec: Value) -> Result<()> {
        let mut full = json!({
            "class": "default", "userName": "clerk", "databaseName": "orders",
            "server": "a-server-that-is-not-there",
        });
        merge(&mut full, spec);
        self.shop.claim(name, full).await.map(drop)
    }

    /// Creates a pod and returns what the API server made of it.
    async fn pod(&self, labels: &[(&str, &str)], more: Value) -> kube::Result<Pod> {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| (format!("persistance.atlas.infoblox.com/{key}"), *value))
            .collect();
        let mut pod = json!({
            "metadata": { "generateName": "till-", "labels": labels },
            "spec": { "containers": [{ "name": "till", "image": "till:3" }] },
        });
        merge(&mut pod, more);
        let pod = serde_json::from_value(pod).map_err(kube::Error::SerdeError)?;
        let pods = Api::<Pod>::namespaced(self.shop.client.clone(), SHOP);
        pods.create(&PostParams::default(), &pod).await
    }

    async fn labelled(&self, claim: &str) -> kube::Result<Pod> {
        let labels = [
            ("claim", claim),
            ("class", "default"),
            ("dbproxy", "enabled"),
        ];
        self.pod(&labels, json!({})).await
    }
}

fn sidecars(pod: &Pod) -> Vec<&str> {
    let spec = pod.spec.as_ref();
    let containers = spec.and_then(|spec| spec.init_containers.as_deref());
    let containers = containers.unwrap_or_default().iter();
    containers.map(|it| it.name.as_str()).collect()
}

fn mounted_secrets(pod: &Pod) -> Vec<&str> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    let volumes = volumes.unwrap_or_default().iter();
    let names = volumes.filter_map(|volume| volume.secret.as_ref()?.secret_name.as_deref());
    names.collect()
}

/// The registrations reach the API server's own caches, and claims ours, a moment later.
async fn sidecar_of(it: &Installed<'_>, claim: &str) -> Result<Pod> {
    wait_for(format!("a sidecar for claim {claim}"), async || {
        let pod = it.labelled(claim).await?;
        Ok((sidecars(&pod) == ["dbproxy"]).then_some(pod))
    })
    .await
}

fn refusal<T: std::fmt::Debug>(answer: kube::Result<T>) -> Result<String> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(status.message.clone()),
        other => anyhow::bail!("not refused: {other:?}"),
    }
}

async fn pods_get_sidecars(it: &Installed<'_>) -> Result<()> {
    it.claim("shop", json!({ "secretName": "orders-dsn" }))
        .await?;
    let pod = sidecar_of(it, "shop").await?;
    assert_eq!(mounted_secrets(&pod), ["orders-dsn"]);
    assert_eq!(sidecars(&it.pod(&[], json!({})).await?), [""; 0]);
    let other_class = [("claim", "shop"), ("class", "blue"), ("dbproxy", "enabled")];
    assert_eq!(sidecars(&it.pod(&other_class, json!({})).await?), [""; 0]);
    let both = [
        ("claim", "shop"),
        ("class", "default"),
        ("dbproxy", "enabled"),
        ("dsnexec", "enabled"),
        ("dsnexec-config", "statements"),
    ];
    let pod = it.pod(&both, json!({})).await?;
    assert_eq!(sidecars(&pod), ["dbproxy", "dsnexec"]);
    assert_eq!(
        mounted_secrets(&pod),
        ["orders-dsn", "orders-dsn", "statements"]
    );
    // As `kubectl apply` does with one file: the pod comes before the watch tells of the claim.
    for number in 0..10 {
        let name = format!("at-once-{number}");
        it.claim(&name, json!({})).await?;
        assert_eq!(sidecars(&it.labelled(&name).await?), ["dbproxy"]);
    }
    let unknown = refusal(it.labelled("shoop").await)?;
    assert!(unknown.contains("no claim named shoop"), "{unknown}");
    Ok(())
}

async fn old_pods_are_converted(it: &Installed<'_>) -> Result<()> {
    let old =
        json!({ "metadata": { "annotations": { "infoblox.com/db-secret-path": "orders-dsn" } } });
    assert_eq!(sidecars(&it.pod(&[], old.clone()).await?), [""; 0]);
    let label = "persistance.atlas.infoblox.com/convert-deprecated-pods";
    let patch = Patch::Merge(json!({ "metadata": { "labels": { label: "enabled" } } }));
    let namespaces = Api::<Namespace>::all(it.shop.client.clone());
    namespaces
        .patch(SHOP, &PatchParams::default(), &patch)
        .await?;
    wait_for("an old pod to be converted", async || {
        let pod = it.pod(&[], old.clone()).await?;
        Ok((sidecars(&pod) == ["dbproxy"]).then_some(()))
    })
    .await
}

async fn deletions_are_guarded(it: &Installed<'_>) -> Result<()> {
    it.claim("kept", json!({})).await?;
    let (claims, params) = (it.shop.claims(), DeleteParams::default());
    let denied = refusal(claims.delete("kept", &params).await)?;
    let words = "deletion is denied for DatabaseClaim 'kept'; set label \
                 'persistance.atlas.infoblox.com/allow-deletion=enabled' to override";
    assert!(denied.contains(words), "{denied}");
    let label = json!({ "persistance.atlas.infoblox.com/allow-deletion": "enabled" });
    let patch = json!({ "metadata": { "labels": label } });
    it.shop.patch("kept", patch).await?;
    it.shop.delete("kept").await
}

/// Somebody puts the chart's own registration in the place of the one that trusts the controller.
async fn a_replaced_registration_is_put_right(it: &Installed<'_>) -> Result<()> {
    let all = Api::<MutatingWebhookConfiguration>::all(it.shop.client.clone());
    let name = format!("{FULLNAME}-mutation-cfg");
    let mut registration = all.get(&name).await?;
    for hook in registration.webhooks.iter_mut().flatten() {
        hook.client_config.ca_bundle = None;
    }
    all.replace(&name, &PostParams::default(), &registration)
        .await?;
    wait_for("the registration to be believed again", async || {
        let hooks = all.get(&name).await?.webhooks.unwrap_or_default();
        let mut bundles = hooks.iter().map(|hook| &hook.client_config.ca_bundle);
        Ok(bundles.all(Option::is_some).then_some(()))
    })
    .await?;
    sidecar_of(it, "shop").await.map(drop)
}

async fn certificate(client: &Client) -> Result<Secret> {
    let secrets = Api::<Secret>::namespaced(client.clone(), NAMESPACE);
    Ok(secrets.get(&format!("{FULLNAME}-webhook")).await?)
}

#[tokio::test]
async fn row_54_to_60_the_registrations_of_the_release_reach_its_controller() -> Result<()> {
    env(async |env| {
        let control_plane = ControlPlane::start(ControlPlaneOptions::default()).await?;
        let client = control_plane.client().await?;
        let (it, first) = with_free_ports(async |[port]: [u16; 1]| {
            let it = Installed::new(env, &control_plane, port).await?;
            let controller = it.controller().await?;
            Ok((it, controller))
        })
        .await?;
        pods_get_sidecars(&it).await?;
        old_pods_are_converted(&it).await?;
        deletions_are_guarded(&it).await?;
        a_replaced_registration_is_put_right(&it).await?;

        // Nobody answers: nothing that the webhook must see comes through, and all else does.
        let kept = certificate(&client).await?;
        first.stop().await?;
        ensure!(
            it.labelled("shop").await.is_err(),
            "a pod without its sidecar"
        );
        it.pod(&[], json!({})).await?;

        // The next process goes on with the same certificate.
        let second = it.controller().await?;
        let pod = sidecar_of(&it, "shop").await?;
        assert_eq!(mounted_secrets(&pod), ["orders-dsn"]);
        assert_eq!(certificate(&client).await?.data, kept.data);

        // The namespace takes its claims along.
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.delete(SHOP, &DeleteParams::default()).await?;
        wait_for("the namespace to go", async || {
            let found = namespaces.get_opt(SHOP).await?;
            Ok(found.is_none().then_some(()))
        })
        .await?;
        second.stop().await?;
        control_plane.stop().await
    })
    .await
}
