//! What people change by hand of logins on MongoDB, where a claim only observes.

use anyhow::{Result, ensure};
use api::conditions::Type;
use mongodb::bson::doc;
use serde_json::json;
use testkit::env;
use testkit::mongod::{Shape, client_of, run};
use testkit::wait::wait_for;

use super::place::{Place, made, write};
use crate::support::{Stage, condition_of, log_in, merge, uri};

#[tokio::test]
async fn roles_of_logins_are_only_reported_and_a_lost_login_is_made_again() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let place = Place::start(Shape::Set(1)).await?;
        let server = place.register(&stage, "hands").await?;
        let mut spec = made("clerk", "orders", &server);
        merge(&mut spec, json!({ "driftPolicy": "Observe" }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        let published = stage.secret("shop").await?;
        let more = doc! { "grantRolesToUser": "clerk_a", "roles": [{ "role": "read", "db": "image" }] };
        run(&place.root, "dbclaims", more).await?;
        let less = doc! { "revokeRolesFromUser": "clerk_b", "roles": [{ "role": "readWrite", "db": "orders" }] };
        run(&place.root, "dbclaims", less).await?;
        let words = "login clerk_a has image.read too many; login clerk_b lacks orders.readWrite";
        let is_told = |claim: &api::claim::DatabaseClaim| {
            let found = condition_of(claim, Type::Drifted);
            found.is_some_and(|found| {
                found.reason == "Observed" && found.message.ends_with(&format!(": {words}"))
            })
        };
        stage.claim_when("shop", "what differs", is_told).await?;
        let before = controller.metric("dbclaims_loaded_total").await?;
        wait_for("three more checks", async || {
            let now = controller.metric("dbclaims_loaded_total").await?;
            Ok((now >= before + 3.0).then_some(()))
        })
        .await?;
        ensure!(is_told(&stage.get("shop").await?), "it was repaired");

        // The published login comes back, with its roles: whoever logs in must be somebody.
        run(&place.root, "dbclaims", doc! { "dropUser": "clerk_a" }).await?;
        wait_for("the published login", async || {
            Ok(log_in(&published).await.is_ok().then_some(()))
        })
        .await?;
        let client = client_of(&uri(&published)).await?;
        write(&client, "orders").await?;
        client.shutdown().await;

        let policy = json!({ "spec": { "driftPolicy": "Repair" } });
        stage.patch("shop", policy).await?;
        stage
            .claim_when("shop", "no difference", |claim| {
                condition_of(claim, Type::Drifted).is_none()
            })
            .await?;
        stage.rotate("shop").await?;
        let client = client_of(&uri(&stage.secret("shop").await?)).await?;
        write(&client, "orders").await?;
        client.shutdown().await;
        Ok(())
    })
    .await
}
