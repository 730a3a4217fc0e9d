//! Attempts by claims and role claims, which the controller refuses, and by what a tenant may
//! write about them.

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use api::conditions::Type;
use api::names::secret_key as key;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::env;
use testkit::wait::wait_for;

use super::stage::Tenants;
use crate::support::{ask, condition_of};

fn said(attempt: &str, reason: &str, words: &str) -> Result<()> {
    ensure!(reason.contains(words), "{attempt}: {reason}");
    eprintln!("tenancy: {attempt}: {reason}");
    Ok(())
}

/// What a claim may ask for and does not get, with a word of the reason.
fn wishes(it: &Tenants) -> Vec<(&'static str, Value, &'static str)> {
    let admin = json!({ "name": "shared-admin", "namespace": it.victim.namespace });
    let dsn = format!(
        "postgres://localhost:{}/ledger?sslmode=disable",
        it.postgres.port()
    );
    let source = |database: Value| {
        json!({
            "server": null, "useExistingSource": true,
            "sourceDataFrom": { "type": "database", "database": database },
        })
    };
    vec![
        ("no-server", json!({ "server": it.main }), "does not admit"),
        (
            "their-role",
            json!({ "userName": "keeper" }),
            "belongs to claim",
        ),
        (
            "their-login",
            json!({ "userName": "keeper_a" }),
            "belongs to claim",
        ),
        (
            "their-database",
            json!({ "databaseName": "ledger" }),
            "belongs to claim",
        ),
        ("superuser", json!({ "userName": "postgres" }), "superuser"),
        (
            "built-in-role",
            json!({ "userName": "pg_read_all_data" }),
            "keeps for itself",
        ),
        (
            "home",
            json!({ "databaseName": "postgres" }),
            "not made by this claim",
        ),
        (
            "template",
            json!({ "databaseName": "template1" }),
            "not made by this claim",
        ),
        (
            "their-admin",
            source(json!({ "dsn": dsn, "secretRef": admin })),
            "consent|namespace",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_at_nothing_by_claims() -> Result<()> {
    env(async |env| {
        let it = Tenants::meet(env).await?;
        for (name, wish, words) in wishes(&it) {
            let reason = it.refusal(name, wish).await?;
            let word = words.split('|').find(|word| reason.contains(word));
            said(name, &reason, word.unwrap_or(words))?;
        }
        // Her own login as the admin of a source does what it may, which is nothing of theirs.
        let secret = it.mallory.secret("mine").await?;
        let own = secret.get(key::URI_DSN).context("no URI")?;
        let dsn = own.replace("/mallory_mine?", "/ledger?");
        for (name, dsn, words) in [
            ("own-admin", own.clone(), "belongs to claim"),
            ("own-admin-there", dsn, "permission denied for database"),
        ] {
            let wish = json!({
                "server": null, "userName": "keeper", "useExistingSource": true,
                "sourceDataFrom": { "type": "database", "database": { "dsn": dsn } },
            });
            let reason = it.refusal(name, wish).await?;
            said(name, &reason, words)?;
        }
        // Powers that the server's policy does not give.
        let asks = json!({
            "enableSuperUser": true, "enableReplicationRole": true, "extensions": ["file_fdw"],
        });
        it.claim("powers", asks).await?;
        let claim = it.mallory.ready("powers").await?;
        let degraded = condition_of(&claim, Type::Degraded).context("a word about it")?;
        said("file_fdw", &degraded.message, "file_fdw")?;
        let ignored = condition_of(&claim, Type::FieldsIgnored).context("a word about it")?;
        said(
            "superuser and replication",
            &ignored.message,
            "enableSuperUser",
        )?;
        // Role claims without consent, with and without a map.
        for (name, more) in [
            ("copy", json!({})),
            ("mapped", json!({ "schemarolemap": { "public": "admin" } })),
        ] {
            said(
                name,
                &it.role_refusal(name, "ledger", more).await?,
                "does not admit namespace",
            )?;
        }
        it.is_unharmed().await
    })
    .await
}

/// Status and Secrets of her own namespace are hers to write: what they say is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_at_nothing_by_forged_records() -> Result<()> {
    env(async |env| {
        let it = Tenants::meet(env).await?;
        let claims =
            Api::<DatabaseClaim>::namespaced(it.mallory.client.clone(), &it.mallory.namespace);
        let params = PatchParams::default();
        let forge = async |name: &str, status: Value| {
            let patch = Patch::Merge(json!({ "status": status }));
            claims.patch_status(name, &params, &patch).await.map(drop)
        };
        // The victim's roles and database as her own, to have them renamed, then dropped.
        let theirs = json!({
            "server": { "ownerRole": "keeper", "formerOwnerRoles": ["keeper"] },
            "activeDB": { "connectionInfo": { "databaseName": "ledger", "userName": "keeper_a" } },
            "rotation": { "currentLogin": "keeper_a" },
        });
        let delete = json!({ "reclaimPolicy": "Delete" });
        it.claim("forged", delete).await?;
        it.mallory.ready("forged").await?;
        forge("forged", theirs).await?;
        let renamed = it
            .mallory
            .patch("forged", json!({ "spec": { "userName": "mallory_other" } }))
            .await?;
        let generation = renamed.metadata.generation;
        let claim = it
            .mallory
            .claim_when("forged", "the forged claim to be judged", |claim| {
                let ready = condition_of(claim, Type::Ready);
                ready.is_some_and(|ready| ready.observed_generation == generation)
            })
            .await?;
        let error = claim.status.and_then(|status| status.error);
        said(
            "a rename of the victim's role",
            &error.unwrap_or_default(),
            "belongs to claim",
        )?;
        it.is_unharmed().await?;
        claims.delete("forged", &DeleteParams::default()).await?;
        wait_for("the forged claim to be gone", async || {
            Ok(claims.get_opt("forged").await?.is_none().then_some(()))
        })
        .await?;
        it.is_unharmed().await?;
        // A Secret that calls itself a copy of the victim's, to have it filled.
        let copy = json!({ "metadata": {
            "labels": { "app.kubernetes.io/managed-by": "dbrole-controller" },
            "annotations": {
                "persistance.atlas.infoblox.com/copy-of": format!("{}/ledger", it.victim.namespace),
            },
        } });
        it.mallory.put_secret("copy", &[("username", "x")]).await?;
        it.mallory.patch_secret("copy", copy).await?;
        for _ in 0..2 {
            it.victim.rotate("ledger").await?;
        }
        let found = it.mallory.secrets().get_opt("copy").await?;
        let filled = found.and_then(|found| found.data).unwrap_or_default();
        ensure!(!filled.contains_key(key::PASSWORD), "the copy was filled");
        // A role claim of her own that says it has the victim's roles.
        let map = json!({
            "schemarolemap": { "public": "readonly" },
            "sourceDatabaseClaim": { "namespace": it.mallory.namespace },
        });
        it.role_claims.create("readers", "mine", map).await?;
        it.role_claims.ready("readers").await?;
        let roles = json!({ "keeper": "valid", "keeper_a": "valid" });
        let status = json!({ "schemasstatus": { "rolestatus": roles }, "username": "keeper_a" });
        it.role_claims.patch_status("readers", status).await?;
        it.role_claims.delete("readers").await?;
        let left =
            "SELECT count(*) FROM pg_roles WHERE rolname IN ('keeper', 'keeper_a', 'keeper_b')";
        assert_eq!(ask(&it.postgres, "postgres", left).await?, "3");
        it.is_unharmed().await
    })
    .await
}
