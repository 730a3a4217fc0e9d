//! Role claims on MongoDB: databases stand for schemas.

use anyhow::{Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use mongodb::bson::{Document, doc};
use serde_json::json;
use testkit::env;
use testkit::mongod::{Shape, client_of};
use testkit::prober::Prober;
use testkit::wait::wait_for;

use super::place::{Place, made, write};
use crate::role_claims::RoleClaims;
use crate::support::{Stage, merge, uri};

#[tokio::test(flavor = "multi_thread")]
async fn row_36_a_role_claim_has_its_rights_by_database() -> Result<()> {
    env(async |env| {
        let (stage, _controller) = (Stage::of(env), env.controller("").await?);
        let place = Place::start(Shape::Set(1)).await?;
        let server = place.register(&stage, "shared").await?;
        let mut spec = made("clerk", "orders", &server);
        merge(&mut spec, json!({ "databases": ["image"] }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        write(&place.root, "orders").await?;
        let role_claims = RoleClaims::of(&stage);
        // A database of somebody else is not to be had.
        let theirs = json!({ "schemarolemap": { "profiles": "read" } });
        role_claims.create("thieves", "shop", theirs).await?;
        let refused = role_claims
            .condition("thieves", Type::Ready, "InvalidSpec")
            .await?;
        ensure!(refused.message.contains("profiles"), "{}", refused.message);
        role_claims.delete("thieves").await?;

        let map = json!({ "schemarolemap": { "orders": "read", "image": "readWrite" } });
        role_claims.create("reports", "shop", map).await?;
        let found = role_claims.ready("reports").await?;
        let published = stage.secret("reports").await?;
        let login = published.get(key::USERNAME).cloned();
        assert_eq!(login.as_deref(), Some("reports_user_a"));
        assert_eq!(found.status.and_then(|status| status.username), login);
        let prober = Prober::start(stage.client.clone(), &stage.namespace, "reports");
        let client = client_of(&uri(&published)).await?;
        let receipts = client.database("orders").collection::<Document>("receipts");
        ensure!(receipts.find_one(doc! { "total": 7 }).await?.is_some());
        ensure!(
            receipts.insert_one(doc! {}).await.is_err(),
            "it may only read"
        );
        write(&client, "image").await?;
        let other = client.database("profiles").collection::<Document>("x");
        ensure!(other.find_one(doc! {}).await.is_err(), "a right too many");

        role_claims.rotate("reports").await?;
        // At once, for connections that are open, too.
        let less = json!({ "spec": { "schemarolemap": { "image": null } } });
        role_claims.patch("reports", less).await?;
        let images = client.database("image").collection::<Document>("receipts");
        wait_for("the right to be taken back", async || {
            Ok(images.find_one(doc! {}).await.is_err().then_some(()))
        })
        .await?;
        ensure!(receipts.find_one(doc! { "total": 7 }).await?.is_some());
        client.shutdown().await;
        let report = prober.stop().await?;
        ensure!(report.failures == 0, "{report:?}");
        role_claims.delete("reports").await?;
        stage.event("reports", "Deleted").await?;
        assert_eq!(place.logins().await?, ["clerk_a", "clerk_b"]);
        stage.delete("shop").await
    })
    .await
}
