//! A real kube-apiserver asks: it takes our patches, and shows our sentences.

use anyhow::{Context, Result};
use api::claim::DatabaseClaim;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::TestEnv;
use testkit::pki::Authority;
use testkit::wait::wait_for;

use crate::stage::{CLASS, Stage};

/// Registers one path for what happens in these namespaces.
pub(crate) async fn register(
    env: &TestEnv,
    stage: &Stage,
    ca: &str,
    namespaces: &[&str],
) -> Result<()> {
    let hook = |name: &str, path: &str, operation: &str, group: &str, resource: &str| {
        json!({
            "name": name,
            "clientConfig": {
                "url": format!("https://{}{path}", stage.address),
                "caBundle": ByteString(ca.as_bytes().to_vec()),
            },
            "rules": [{
                "operations": [operation],
                "apiGroups": [group],
                "apiVersions": ["v1"],
                "resources": [resource],
            }],
            "namespaceSelector": {"matchExpressions": [{
                "key": "kubernetes.io/metadata.name",
                "operator": "In",
                "values": namespaces,
            }]},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        })
    };
    let metadata = json!({"name": env.namespace()});
    let pods = hook("pods.example.org", "/mutate--v1-pod", "CREATE", "", "pods");
    let guard = hook(
        "guard.example.org",
        "/validate-persistance-atlas-infoblox-com-v1-databaseclaim",
        "DELETE",
        "persistance.atlas.infoblox.com",
        "databaseclaims",
    );
    let mutating: MutatingWebhookConfiguration =
        serde_json::from_value(json!({"metadata": metadata, "webhooks": [pods]}))?;
    let validating: ValidatingWebhookConfiguration =
        serde_json::from_value(json!({"metadata": metadata, "webhooks": [guard]}))?;
    let params = PostParams::default();
    Api::all(env.client()).create(&params, &mutating).await?;
    Api::all(env.client()).create(&params, &validating).await?;
    Ok(())
}

pub(crate) async fn unregister(env: &TestEnv) -> Result<()> {
    let params = DeleteParams::default();
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(env.client());
    mutating.delete(env.namespace(), &params).await?;
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(env.client());
    validating.delete(env.namespace(), &params).await?;
    Ok(())
}

pub(crate) fn pod(labels: &Value, change: &Value) -> Result<Pod> {
    let mut pod = json!({
        "metadata": {"generateName": "till-", "labels": labels},
        "spec": {"containers": [{"name": "till", "image": "till:3"}]},
    });
    json_patch::merge(&mut pod, change);
    Ok(serde_json::from_value(pod)?)
}

pub(crate) fn labels(claim: &str) -> Value {
    json!({
        "persistance.atlas.infoblox.com/claim": claim,
        "persistance.atlas.infoblox.com/class": CLASS,
        "persistance.atlas.infoblox.com/dbproxy": "enabled",
        "persistance.atlas.infoblox.com/dsnexec": "enabled",
        "persistance.atlas.infoblox.com/dsnexec-config": "statements",
    })
}

pub(crate) fn init_containers(pod: &Pod) -> Vec<&str> {
    let spec = pod.spec.as_ref();
    let containers = spec.and_then(|spec| spec.init_containers.as_ref());
    let containers = containers.into_iter().flatten();
    containers
        .map(|container| container.name.as_str())
        .collect()
}

/// The registration reaches the API server's own caches a moment later.
pub(crate) async fn mutation_is_on(pods: &Api<Pod>) -> Result<()> {
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let probe = pod(&labels("shop"), &json!({}))?;
    wait_for("the first mutation", async || {
        let pod = pods.create(&dry_run, &probe).await.context("dry run")?;
        Ok((!init_containers(&pod).is_empty()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn row_53_to_57_the_api_server_takes_the_patch_and_shows_the_sentence() -> Result<()> {
    testkit::env(async |env| {
        let authority = Authority::new("webhook")?;
        let stage = Stage::start(&authority).await?;
        register(env, &stage, &authority.pem(), &[env.namespace()]).await?;
        let pods: Api<Pod> = Api::namespaced(env.client(), env.namespace());
        mutation_is_on(&pods).await?;

        let params = PostParams::default();
        let made = pods
            .create(&params, &pod(&labels("shop"), &json!({}))?)
            .await?;
        assert_eq!(init_containers(&made), ["dbproxy", "dsnexec"]);
        let spec = made.spec.as_ref().context("a pod without spec")?;
        let secrets: Vec<_> = spec.volumes.iter().flatten().collect();
        let secrets = secrets.iter().filter_map(|volume| volume.secret.as_ref());
        let secrets: Vec<_> = secrets.filter_map(|it| it.secret_name.as_deref()).collect();
        assert_eq!(secrets, ["orders-dsn", "orders-dsn", "statements"]);

        let plain = pods.create(&params, &pod(&json!({}), &json!({}))?).await?;
        assert_eq!(init_containers(&plain), [""; 0]);
        assert_eq!(plain.metadata.annotations, None);

        let ports = json!([{"containerPort": 5432}]);
        let taken = json!({"spec": {"containers": [
            {"name": "till", "image": "till:3", "ports": ports},
        ]}});
        let refused = pods.create(&params, &pod(&labels("shop"), &taken)?).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("port 5432 is taken by container till, and dbproxy listens on it"),
            "{refused}"
        );
        let refused = pods
            .create(&params, &pod(&labels("shoop"), &json!({}))?)
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("has no claim named shoop"), "{refused}");

        unregister(env).await?;
        stage.stop().await
    })
    .await
}

#[tokio::test]
async fn row_56_injected_pods_pass_the_restricted_standard() -> Result<()> {
    testkit::env(async |env| {
        let namespaces: Api<Namespace> = Api::all(env.client());
        let restricted = json!({"metadata": {"labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
        }}});
        let params = PatchParams::default();
        namespaces
            .patch(env.namespace(), &params, &Patch::Merge(&restricted))
            .await?;
        let authority = Authority::new("webhook")?;
        let stage = Stage::start(&authority).await?;
        register(env, &stage, &authority.pem(), &[env.namespace()]).await?;
        let pods: Api<Pod> = Api::namespaced(env.client(), env.namespace());
        let own = json!({"spec": {"containers": [{
            "name": "till",
            "image": "till:3",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }]}});
        let wished = pod(&labels("shop"), &own)?;
        wait_for("a pod with its sidecars", async || {
            let made = pods.create(&PostParams::default(), &wished).await?;
            Ok((init_containers(&made).len() == 2).then_some(()))
        })
        .await?;
        unregister(env).await?;
        stage.stop().await
    })
    .await
}

#[tokio::test]
async fn row_43_a_claim_goes_with_its_label_or_with_its_namespace() -> Result<()> {
    testkit::env(async |env| {
        env.cluster()
            .install_crds(&testkit::assets::workspace().join("config/crd"))
            .await?;
        let leaving = format!("{}-leaving", env.namespace());
        env.cluster().create_namespace(&leaving).await?;
        let authority = Authority::new("webhook")?;
        let stage = Stage::start(&authority).await?;
        register(env, &stage, &authority.pem(), &[env.namespace(), &leaving]).await?;

        let claims: Api<DatabaseClaim> = Api::namespaced(env.client(), env.namespace());
        let others: Api<DatabaseClaim> = Api::namespaced(env.client(), &leaving);
        let claim: DatabaseClaim = serde_json::from_value(json!({
            "apiVersion": "persistance.atlas.infoblox.com/v1",
            "kind": "DatabaseClaim",
            "metadata": {"name": "shop"},
            // Nobody serves this class here.
            "spec": {"class": env.namespace(), "databaseName": "orders", "userName": "clerk"},
        }))?;
        claims.create(&PostParams::default(), &claim).await?;
        others.create(&PostParams::default(), &claim).await?;

        let dry_run = DeleteParams::default().dry_run();
        let refused = wait_for("the first refusal", async || {
            Ok(claims.delete("shop", &dry_run).await.err())
        })
        .await?;
        let refused = refused.to_string();
        assert!(
            refused.contains(
                "deletion is denied for DatabaseClaim 'shop'; set label \
                 'persistance.atlas.infoblox.com/allow-deletion=enabled' to override"
            ),
            "{refused}"
        );
        let label = json!({"metadata": {"labels": {
            "persistance.atlas.infoblox.com/allow-deletion": "enabled",
        }}});
        let params = PatchParams::default();
        claims.patch("shop", &params, &Patch::Merge(&label)).await?;
        claims.delete("shop", &DeleteParams::default()).await?;

        assert!(others.delete("shop", &dry_run).await.is_err());
        env.cluster().delete_namespace(&leaving).await?;
        let namespaces: Api<Namespace> = Api::all(env.client());
        wait_for("the namespace's end", async || {
            let seen = namespaces.get_opt(&leaving).await?;
            Ok(seen.is_none().then_some(()))
        })
        .await?;
        unregister(env).await?;
        stage.stop().await
    })
    .await
}
