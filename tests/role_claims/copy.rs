//! Role claims without a map of schemas: a copy of the claim's own credential.

use anyhow::{Result, ensure};
use api::conditions::Type;
use api::names::{annotation, finalizer, label, secret_key as key};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use testkit::env;
use testkit::prober::Prober;
use testkit::wait::wait_for;

use super::RoleClaims;
use crate::claims::source::owned_database;
use crate::support::{Stage, Texts, existing, log_in, own, texts};

/// Waits until the copy holds what the source publishes, and nothing else.
async fn is_copied(stage: &Stage, copies: &Api<Secret>, source: &str, copy: &str) -> Result<Texts> {
    wait_for(format!("Secret {copy} to be a copy"), async || {
        let wanted = stage.secret(source).await?;
        let found = copies.get_opt(copy).await?;
        let found = found.as_ref().map(texts).unwrap_or_default();
        ensure!(found == wanted, "{:?}", found.keys());
        Ok(Some(found))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_33_a_copy_is_kept_true_and_goes_with_its_role_claim() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let role_claims = RoleClaims::of(&stage);
        // Nothing is there yet: it waits, and hears of the claim.
        role_claims.create("reports", "shop", json!({})).await?;
        let waits = role_claims
            .condition("reports", Type::Ready, "Blocked")
            .await?;
        ensure!(
            waits.message.contains("does not exist"),
            "{}",
            waits.message
        );
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let found = role_claims.ready("reports").await?;
        let secrets = stage.secrets();
        let copy = is_copied(&stage, &secrets, "shop", "reports").await?;
        let status = found.status.unwrap_or_default();
        let named = format!("{}/shop", stage.namespace);
        assert_eq!(status.matched_source_claim.as_ref(), Some(&named));
        assert_eq!(status.source_secret.as_ref(), Some(&named));
        assert_eq!(status.username.as_ref(), copy.get(key::USERNAME));
        assert_eq!(status.error, None);
        let binding = status.binding.as_ref().map(|binding| binding.name.as_str());
        assert_eq!(binding, Some("reports"));
        let object = secrets.get("reports").await?;
        assert_eq!(object.labels()[label::MANAGED_BY], "dbrole-controller");
        assert_eq!(object.owner_references()[0].kind, "DbRoleClaim");

        let prober = Prober::start(stage.client.clone(), &stage.namespace, "reports");
        for _ in 0..4 {
            stage.rotate("shop").await?;
            let copy = is_copied(&stage, &secrets, "shop", "reports").await?;
            log_in(&copy).await?;
        }
        // What people add to the claim's Secret is theirs; what they do to the copy is undone.
        let added = json!({ "stringData": { "token": "of-the-shop" } });
        stage.patch_secret("shop", added).await?;
        stage.rotate("shop").await?;
        let spoilt = json!({ "stringData": { "password": "by-hand" } });
        let spoilt = Patch::Merge(spoilt);
        secrets
            .patch("reports", &PatchParams::default(), &spoilt)
            .await?;
        wait_for("the copy to be mended", async || {
            let (copy, source) = (stage.secret("reports").await?, stage.secret("shop").await?);
            ensure!(!copy.contains_key("token"));
            Ok((copy[key::PASSWORD] == source[key::PASSWORD]).then_some(()))
        })
        .await?;
        secrets.delete("reports", &DeleteParams::default()).await?;
        wait_for("the copy to be made again", async || {
            Ok(secrets.get_opt("reports").await?.map(drop))
        })
        .await?;
        let report = prober.stop().await?;
        ensure!(report.failures == 0, "{report:?}");
        ensure!(report.credentials >= 5, "{report:?}");

        // The original's role claims have a finalizer; it holds nothing up.
        let held = json!({ "metadata": { "finalizers": [finalizer::ROLE_CLAIM] } });
        role_claims.patch("reports", held).await?;
        role_claims.delete("reports").await?;
        stage.event("reports", "Deleted").await?;
        log_in(&stage.secret("shop").await?).await.map(drop)
    })
    .await
}

/// A copy that nobody asks for any more goes before it becomes untrue, and not before that.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_left_goes_with_its_login() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        for name in ["shop", "bakery"] {
            let admin = owned_database(env).await?;
            stage.claim(name, existing(&own("clerk"), &admin)).await?;
            stage.ready(name).await?;
        }
        let (role_claims, secrets) = (RoleClaims::of(&stage), stage.secrets());
        role_claims.create("reports", "shop", json!({})).await?;
        role_claims.ready("reports").await?;
        let prober = Prober::start(stage.client.clone(), &stage.namespace, "reports");
        let renamed = json!({ "spec": { "secretName": "figures" } });
        role_claims.patch("reports", renamed).await?;
        is_copied(&stage, &secrets, "shop", "figures").await?;
        stage.rotate("shop").await?;
        log_in(&stage.secret("reports").await?).await?;
        stage.rotate("shop").await?;
        ensure!(secrets.get_opt("reports").await?.is_none());
        is_copied(&stage, &secrets, "shop", "figures").await?;

        let name = |name: &str| json!({ "spec": { "sourceDatabaseClaim": { "name": name } } });
        role_claims.patch("reports", name("bakery")).await?;
        is_copied(&stage, &secrets, "bakery", "figures").await?;
        role_claims.patch("reports", name("nowhere")).await?;
        role_claims
            .condition("reports", Type::Ready, "Blocked")
            .await?;
        ensure!(secrets.get_opt("figures").await?.is_none());
        let report = prober.stop().await?;
        ensure!(report.failures == 0, "{report:?}");
        Ok(())
    })
    .await
}

/// A copy that can't be written holds its claim's rotation up, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn no_login_ends_that_a_copy_still_names() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let role_claims = RoleClaims::of(&stage);
        role_claims.create("reports", "shop", json!({})).await?;
        role_claims.ready("reports").await?;
        let prober = Prober::start(stage.client.clone(), &stage.namespace, "reports");
        let frozen = json!({ "immutable": true });
        stage.patch_secret("reports", frozen).await?;
        let before = stage.secret("reports").await?;
        stage.rotate("shop").await?;
        let nonce = stage.ask_rotation("shop").await?;
        let waits = stage.condition("shop", Type::Ready, "Retrying").await?;
        let named = format!("Secret {}/reports of a role claim", stage.namespace);
        ensure!(waits.message.contains(&named), "{}", waits.message);
        assert_eq!(stage.secret("reports").await?, before);
        log_in(&before).await?;
        log_in(&stage.secret("shop").await?).await?;

        let secrets = stage.secrets();
        secrets.delete("reports", &DeleteParams::default()).await?;
        stage
            .claim_when("shop", "claim shop to rotate", |claim| {
                let rotation = crate::support::rotation_of(claim);
                rotation.is_some_and(|found| found.handled_nonce.as_ref() == Some(&nonce))
            })
            .await?;
        is_copied(&stage, &secrets, "shop", "reports").await?;
        let report = prober.stop().await?;
        ensure!(report.failures == 0, "{report:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_39_a_claims_end_takes_copies_of_logins_that_go_and_no_others() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let role_claims = RoleClaims::of(&stage);
        for (name, policy) in [("gone", "Delete"), ("kept", "Retain")] {
            let admin = owned_database(env).await?;
            let mut spec = existing(&own("clerk"), &admin);
            crate::support::merge(&mut spec, json!({ "reclaimPolicy": policy }));
            stage.claim(name, spec).await?;
            stage.ready(name).await?;
            let copy = format!("copy-of-{name}");
            role_claims.create(&copy, name, json!({})).await?;
            role_claims.ready(&copy).await?;
        }
        for name in ["gone", "kept"] {
            stage.delete(name).await?;
            let copy = format!("copy-of-{name}");
            role_claims.condition(&copy, Type::Ready, "Blocked").await?;
        }
        ensure!(stage.secrets().get_opt("copy-of-gone").await?.is_none());
        log_in(&stage.secret("copy-of-kept").await?).await?;
        for copy in ["copy-of-gone", "copy-of-kept"] {
            role_claims.delete(copy).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_never_overwritten() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        stage
            .put_secret("theirs", &[("password", "theirs")])
            .await?;
        let role_claims = RoleClaims::of(&stage);
        // One that is nobody's of ours, and the claim's own.
        for name in ["theirs", "shop"] {
            let (before, wish) = (stage.secret(name).await?, json!({ "secretName": name }));
            let role_claim = format!("to-{name}");
            role_claims.create(&role_claim, "shop", wish).await?;
            let refused = role_claims
                .condition(&role_claim, Type::Ready, "Blocked")
                .await?;
            ensure!(
                refused.message.contains("does not belong"),
                "{}",
                refused.message
            );
            assert_eq!(stage.secret(name).await?, before);
        }
        let owner = stage.secrets().get("shop").await?;
        assert_eq!(owner.annotations()[annotation::CLAIM_NAME], "shop");
        Ok(())
    })
    .await
}
