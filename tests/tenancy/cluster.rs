//! Attempts over the API server, which its own rights refuse.

use anyhow::{Result, ensure};
use api::claim::DatabaseClaim;
use api::role_claim::DbRoleClaim;
use api::server::DatabaseServer;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::env;

use super::stage::Tenants;

fn refused<T>(attempt: &str, answer: kube::Result<T>) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            eprintln!("tenancy: {attempt}: {}", status.message);
            Ok(())
        }
        Err(err) => anyhow::bail!("{attempt}: {err}"),
        Ok(_) => anyhow::bail!("{attempt} went through"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_at_nothing_by_the_api_server() -> Result<()> {
    env(async |env| {
        let it = Tenants::meet(env).await?;
        let (client, theirs) = (it.mallory.client.clone(), it.victim.namespace.as_str());
        let (create, patch) = (PostParams::default(), PatchParams::default());
        let secrets = Api::<Secret>::namespaced(client.clone(), theirs);
        refused("reading the victim's Secret", secrets.get("ledger").await)?;
        refused("reading the admin's Secret", secrets.get("shared-admin").await)?;
        let all = ListParams::default();
        refused("listing the victim's Secrets", secrets.list(&all).await)?;
        let claims = Api::<DatabaseClaim>::namespaced(client.clone(), theirs);
        let consent = json!({ "spec": { "roleClaimNamespaces": { "all": true } } });
        let consent = claims.patch("ledger", &patch, &Patch::Merge(consent)).await;
        refused("consenting in the victim's name", consent)?;
        let role_claims = Api::<DbRoleClaim>::namespaced(client.clone(), theirs);
        let spec = json!({ "sourceDatabaseClaim": { "name": "ledger", "namespace": theirs } });
        let object = json!({ "metadata": { "name": "thief" }, "spec": spec });
        let thief = serde_json::from_value(object)?;
        let made = role_claims.create(&create, &thief).await;
        refused("a role claim in the victim's namespace", made)?;
        let servers = Api::<DatabaseServer>::all(client.clone());
        let all = json!({ "spec": { "allowedNamespaces": { "all": true } } });
        let opened = servers.patch(&it.main, &patch, &Patch::Merge(all)).await;
        refused("opening the victim's server", opened)?;
        refused("reading the victim's server", servers.get(&it.main).await)?;
        let spec = json!({ "host": "localhost", "adminSecretRef": { "name": "shared-admin", "namespace": theirs } });
        let object: Value = json!({ "metadata": { "name": "of-mallory" }, "spec": spec });
        let made = servers.create(&create, &serde_json::from_value(object)?).await;
        refused("a server with the victim's admin", made)?;
        let pods = Api::<Pod>::namespaced(client, theirs);
        let container = json!({ "name": "x", "image": "x", "envFrom": [{ "secretRef": { "name": "ledger" } }] });
        let pod = json!({ "metadata": { "name": "spy" }, "spec": { "containers": [container] } });
        let made = pods.create(&create, &serde_json::from_value(pod)?).await;
        refused("a pod beside the victim's Secret", made)?;
        ensure!(it.mallory.secrets().get_opt("mine").await?.is_some(), "her own is hers");
        it.is_unharmed().await
    })
    .await
}
