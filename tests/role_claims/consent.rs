//! A role claim of another namespace: only where the claim's owner says so.

use anyhow::{Result, ensure};
use api::conditions::Type;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;
use testkit::env;

use super::RoleClaims;
use crate::claims::source::owned_database;
use crate::support::{Stage, existing, log_in, own, texts};

#[tokio::test]
async fn row_33_another_namespace_shares_a_claim_as_long_as_its_owner_says_so() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let neighbour = env.neighbour().await?;
        let role_claims = RoleClaims::within(&stage, &neighbour);
        let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &neighbour);

        role_claims.create("reports", "shop", json!({})).await?;
        let refused = role_claims
            .condition("reports", Type::Ready, "Forbidden")
            .await?;
        ensure!(
            refused.message.contains("roleClaimNamespaces"),
            "{}",
            refused.message
        );
        ensure!(secrets.get_opt("reports").await?.is_none());

        let consent = json!({ "spec": { "roleClaimNamespaces": { "names": [neighbour] } } });
        stage.patch("shop", consent).await?;
        let found = role_claims.ready("reports").await?;
        let status = found.status.unwrap_or_default();
        ensure!(!api::conditions::is_true(
            &status.conditions,
            Type::Insecure
        ));
        log_in(&texts(&secrets.get("reports").await?)).await?;

        let withdrawn = json!({ "spec": { "roleClaimNamespaces": null } });
        stage.patch("shop", withdrawn).await?;
        role_claims
            .condition("reports", Type::Ready, "Forbidden")
            .await?;
        ensure!(secrets.get_opt("reports").await?.is_none());
        role_claims.delete("reports").await
    })
    .await
}

/// As the original did; who wrote the role claim is told, and a claim that lists namespaces means
/// those.
#[tokio::test]
async fn row_33_an_operator_may_let_every_namespace_in() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut options = env.controller_options("").await?;
        options
            .args
            .push("--role-claims-from-any-namespace".to_owned());
        let _controller = env.start_controller(options).await?;
        let neighbour = env.neighbour().await?;
        let role_claims = RoleClaims::within(&stage, &neighbour);
        for name in ["open", "closed"] {
            let admin = owned_database(env).await?;
            stage.claim(name, existing(&own("clerk"), &admin)).await?;
            stage.ready(name).await?;
        }
        let nobody = json!({ "spec": { "roleClaimNamespaces": {} } });
        stage.patch("closed", nobody).await?;
        role_claims.create("one", "open", json!({})).await?;
        let warning = role_claims
            .condition("one", Type::Insecure, "NoConsent")
            .await?;
        ensure!(
            warning.message.contains("does not list"),
            "{}",
            warning.message
        );
        role_claims.ready("one").await?;
        role_claims.create("other", "closed", json!({})).await?;
        role_claims
            .condition("other", Type::Ready, "Forbidden")
            .await?;
        Ok(())
    })
    .await
}
