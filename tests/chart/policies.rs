//! The rules that the chart gives the API server itself to keep: nobody answers for a webhook here,
//! and no controller runs.

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use api::role_claim::DbRoleClaim;
use api::server::DatabaseServer;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use testkit::assets::workspace;
use testkit::control_plane::{ControlPlane, ControlPlaneOptions};
use testkit::wait::wait_for;

use super::helm::{NAMESPACE, RELEASE, Rendered};
use crate::support::merge;

/// A namespace with labels `team: shop` and `tier: gold`, and one without labels of its own.
const SHOP: &str = "shop";
const OTHER: &str = "other";

const DELETION: &str = "blue-db-controller-deletion";
const SERVERS: &str = "blue-db-controller-servers";

#[test]
fn the_policies_are_left_out_where_the_cluster_has_none_or_nobody_wants_them() -> Result<()> {
    let names = |rendered: &Rendered| {
        let all = rendered.of_kind("ValidatingAdmissionPolicy");
        all.map(ResourceExt::name_any).collect::<Vec<_>>()
    };
    for (version, values, expected) in [
        ("1.30.0", "", &[DELETION, SERVERS][..]),
        ("1.29.9", "", &[]),
        ("1.33.0", "admissionPolicies: {enabled: false}", &[]),
        ("1.33.0", "webhook: {deletionGuard: false}", &[SERVERS]),
        ("1.33.0", "webhook: {enabled: false}", &[DELETION, SERVERS]),
    ] {
        let rendered = Rendered::at(version, values)?;
        assert_eq!(names(&rendered), expected, "{version} {values}");
        let bindings = rendered.of_kind("ValidatingAdmissionPolicyBinding");
        assert_eq!(bindings.count(), expected.len(), "{version} {values}");
    }
    Ok(())
}

/// The names of the servers, whom they admit, and what they allow.
fn servers() -> [(&'static str, Value); 8] {
    let expressions = json!([
        { "key": "team", "operator": "Exists" },
        { "key": "lost", "operator": "DoesNotExist" },
        { "key": "tier", "operator": "In", "values": ["gold", "silver"] },
        { "key": "tier", "operator": "NotIn", "values": ["lead"] },
    ]);
    let not_gold = json!([{ "key": "tier", "operator": "NotIn", "values": ["gold"] }]);
    [
        ("closed", json!({})),
        ("everybody", json!({ "allowedNamespaces": { "all": true } })),
        (
            "by-name",
            json!({ "allowedNamespaces": { "names": [SHOP] } }),
        ),
        (
            "by-label",
            json!({ "allowedNamespaces": { "selector": { "matchLabels": { "team": SHOP } } } }),
        ),
        (
            "by-words",
            json!({ "allowedNamespaces": { "selector": { "matchExpressions": expressions } } }),
        ),
        (
            "not-gold",
            json!({ "allowedNamespaces": { "selector": { "matchExpressions": not_gold } } }),
        ),
        (
            "nothing",
            json!({ "allowedNamespaces": { "selector": {} } }),
        ),
        (
            "generous",
            json!({
                "allowedNamespaces": { "all": true },
                "policy": { "allowSuperUser": true, "allowReplication": true },
            }),
        ),
    ]
}

/// Who asks for what, and a word of the refusal, or none.
fn requests() -> Vec<(&'static str, Value, Option<&'static str>)> {
    let mut all = Vec::new();
    let not_admitted = Some("does not admit namespace");
    for (server, in_shop, in_other) in [
        ("closed", not_admitted, not_admitted),
        ("everybody", None, None),
        ("by-name", None, not_admitted),
        ("by-label", None, not_admitted),
        ("by-words", None, not_admitted),
        ("not-gold", not_admitted, None),
        ("nothing", not_admitted, not_admitted),
        // A host block of the configuration, or a server that comes later.
        ("unknown", None, None),
        ("", None, None),
    ] {
        all.push((SHOP, json!({ "server": server }), in_shop));
        all.push((OTHER, json!({ "server": server }), in_other));
    }
    for (field, words) in [
        ("enableSuperUser", "allows no superuser rights"),
        ("enableReplicationRole", "allows no replication"),
    ] {
        let asks = |server: Value, value: Value| json!({ "server": server, field: value });
        let (meagre, generous) = (json!("everybody"), json!("generous"));
        all.push((SHOP, asks(meagre.clone(), json!(true)), Some(words)));
        all.push((SHOP, asks(meagre.clone(), json!(false)), None));
        all.push((SHOP, asks(meagre, Value::Null), None));
        all.push((SHOP, asks(generous, json!(true)), None));
        all.push((SHOP, asks(Value::Null, json!(true)), None));
    }
    // Not ours to judge.
    all.push((OTHER, json!({ "server": "closed", "class": "green" }), None));
    all.push((
        OTHER,
        json!({ "server": "closed", "class": null }),
        not_admitted,
    ));
    all
}

struct Cluster {
    client: Client,
}

impl Cluster {
    fn claims(&self, namespace: &str) -> Api<DatabaseClaim> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create(
        &self,
        namespace: &str,
        name: &str,
        more: Value,
        params: &PostParams,
    ) -> Result<kube::Result<DatabaseClaim>> {
        let mut object = json!({
            "metadata": { "name": name },
            "spec": { "userName": "clerk", "databaseName": "orders" },
        });
        merge(&mut object, more);
        let claim = serde_json::from_value(object)?;
        Ok(self.claims(namespace).create(params, &claim).await)
    }

    async fn patch(&self, name: &str, patch: Value) -> kube::Result<DatabaseClaim> {
        let (claims, params) = (self.claims(OTHER), PatchParams::default());
        claims.patch(name, &params, &Patch::Merge(patch)).await
    }

    async fn role_claim(&self, name: &str) -> Result<Api<DbRoleClaim>> {
        let source = json!({ "name": "stored", "namespace": OTHER });
        let object = json!({
            "metadata": { "name": name }, "spec": { "sourceDatabaseClaim": source }
        });
        let all = Api::<DbRoleClaim>::namespaced(self.client.clone(), OTHER);
        let object = serde_json::from_value(object)?;
        all.create(&PostParams::default(), &object).await?;
        Ok(all)
    }

    /// Both policies are in force: each refuses something.
    async fn are_kept(&self) -> Result<()> {
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let closed = json!({ "spec": { "server": "closed" } });
        wait_for("both policies to be kept", async || {
            let created = self.create(SHOP, "probe", closed.clone(), &dry_run).await?;
            let params = DeleteParams {
                dry_run: true,
                ..DeleteParams::default()
            };
            let deleted = self.claims(OTHER).delete("stored", &params).await;
            Ok((created.is_err() && deleted.is_err()).then_some(()))
        })
        .await
    }

    /// What the API server thinks of the expressions, once it has looked at them.
    async fn are_understood(&self) -> Result<()> {
        let policies = Api::<ValidatingAdmissionPolicy>::all(self.client.clone());
        for name in [DELETION, SERVERS] {
            let seen = wait_for(format!("policy {name} to be looked at"), async || {
                let policy = policies.get(name).await?;
                let status = policy.status.unwrap_or_default();
                let is_seen = status.observed_generation == policy.metadata.generation;
                Ok(is_seen.then_some(status))
            });
            let checking = seen.await?.type_checking.unwrap_or_default();
            let warnings = checking.expression_warnings.unwrap_or_default();
            ensure!(warnings.is_empty(), "{name}: {warnings:#?}");
        }
        Ok(())
    }
}

/// That the API server says no by that policy, and with these words.
fn refused<T: std::fmt::Debug>(answer: kube::Result<T>, policy: &str, words: &str) -> Result<()> {
    let Err(kube::Error::Api(status)) = answer else {
        anyhow::bail!("not refused with {words:?}: {answer:?}");
    };
    let said = &status.message;
    ensure!(said.contains(policy) && said.contains(words), "{said}");
    eprintln!("policies: {said}");
    Ok(())
}

async fn claims_are_judged(it: &Cluster) -> Result<()> {
    for (number, (namespace, spec, words)) in requests().into_iter().enumerate() {
        let (name, more) = (format!("claim-{number}"), json!({ "spec": spec }));
        let params = PostParams::default();
        let answer = it.create(namespace, &name, more.clone(), &params).await?;
        match words {
            Some(words) => refused(answer, SERVERS, words)?,
            None => drop(answer.with_context(|| format!("{namespace}: {more}"))?),
        }
    }
    Ok(())
}

/// A claim from before the policies, which none of them would let in today.
async fn what_is_stored_is_not_locked_out(it: &Cluster) -> Result<()> {
    let status = Patch::Merge(json!({ "status": { "error": "none" } }));
    let params = PatchParams::default();
    let claims = it.claims(OTHER);
    claims.patch_status("stored", &params, &status).await?;
    for patch in [
        json!({ "metadata": { "labels": { "team": "other" } } }),
        json!({ "spec": { "rotation": { "paused": true } } }),
        json!({ "spec": { "enableSuperUser": false } }),
        json!({ "metadata": { "finalizers": ["test/kept", "test/more"] } }),
    ] {
        let answer = it.patch("stored", patch.clone()).await;
        answer.with_context(|| patch.to_string())?;
    }
    let words = "allows no superuser rights";
    let again = json!({ "spec": { "enableSuperUser": true } });
    refused(it.patch("stored", again).await, SERVERS, words)?;
    // Neither to a server that does not admit, nor into our class by way of another.
    let moved = json!({ "spec": { "server": "closed" } });
    refused(it.patch("stored", moved).await, SERVERS, "does not admit")?;
    let detour = json!({ "spec": { "server": "closed", "class": "green" } });
    it.patch("stored", detour).await?;
    let back = json!({ "spec": { "class": "default" } });
    refused(it.patch("stored", back).await, SERVERS, "does not admit")?;
    let admitted = json!({ "spec": { "server": "everybody", "class": "default" } });
    it.patch("stored", admitted).await?;
    Ok(())
}

async fn deletions_are_guarded(it: &Cluster) -> Result<()> {
    let (claims, params) = (it.claims(OTHER), DeleteParams::default());
    let words = |kind: &str, name: &str| {
        format!(
            "deletion is denied for {kind} '{name}'; set label \
             'persistance.atlas.infoblox.com/allow-deletion=enabled' to override"
        )
    };
    let said = words("DatabaseClaim", "stored");
    refused(claims.delete("stored", &params).await, DELETION, &said)?;
    let role_claims = it.role_claim("reader").await?;
    let said = words("DbRoleClaim", "reader");
    refused(role_claims.delete("reader", &params).await, DELETION, &said)?;
    let label = |value: Value| json!({ "metadata": { "labels": { "persistance.atlas.infoblox.com/allow-deletion": value } } });
    let patch = Patch::Merge(label(json!("enabled")));
    role_claims
        .patch("reader", &PatchParams::default(), &patch)
        .await?;
    role_claims.delete("reader", &params).await?;
    // Under way, a deletion goes on without its label, and the finalizer goes.
    it.patch("stored", label(json!("true"))).await?;
    let said = words("DatabaseClaim", "stored");
    refused(claims.delete("stored", &params).await, DELETION, &said)?;
    it.patch("stored", label(json!("enabled"))).await?;
    claims.delete("stored", &params).await?;
    it.patch("stored", label(Value::Null)).await?;
    claims.delete("stored", &params).await?;
    it.patch("stored", json!({ "metadata": { "finalizers": null } }))
        .await?;
    wait_for("the stored claim to be gone", async || {
        Ok(claims.get_opt("stored").await?.is_none().then_some(()))
    })
    .await?;
    // A namespace takes its claims along.
    let namespaces = Api::<Namespace>::all(it.client.clone());
    namespaces.delete(SHOP, &params).await?;
    wait_for("the namespace to go", async || {
        Ok(namespaces.get_opt(SHOP).await?.is_none().then_some(()))
    })
    .await
}

#[tokio::test]
async fn the_api_server_keeps_the_rules_without_a_webhook() -> Result<()> {
    let control_plane = ControlPlane::start(ControlPlaneOptions::default()).await?;
    for namespace in [NAMESPACE, SHOP, OTHER] {
        control_plane.create_namespace(namespace).await?;
    }
    let client = control_plane.client().await?;
    let labels = json!({ "metadata": { "labels": { "team": SHOP, "tier": "gold" } } });
    let (params, labels) = (PatchParams::default(), Patch::Merge(labels));
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.patch(SHOP, &params, &labels).await?;
    let crds = workspace().join("config/crd");
    control_plane.install_crds(&crds).await?;
    let chart = control_plane.install_chart(RELEASE, NAMESPACE, "").await?;
    let it = Cluster { client };
    for (name, more) in servers() {
        let mut spec = json!({ "host": "localhost", "adminSecretRef": { "name": "admin" } });
        merge(&mut spec, more);
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        let all = Api::<DatabaseServer>::all(it.client.clone());
        let object = serde_json::from_value(object)?;
        all.create(&PostParams::default(), &object).await?;
    }
    let stored = json!({
        "metadata": { "finalizers": ["test/kept"] },
        "spec": { "server": "by-name", "enableSuperUser": true },
    });
    let params = PostParams::default();
    it.create(OTHER, "stored", stored, &params).await??;

    control_plane.enforce_policies(&chart).await?;
    it.are_kept().await?;
    it.are_understood().await?;
    claims_are_judged(&it).await?;
    what_is_stored_is_not_locked_out(&it).await?;
    deletions_are_guarded(&it).await?;
    control_plane.stop().await
}
