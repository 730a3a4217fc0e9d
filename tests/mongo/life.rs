//! A claim's whole life, alone and in a replica set, under an admin of the least role.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use futures::future::try_join_all;
use mongodb::bson::doc;
use secrecy::SecretString;
use serde_json::json;
use testkit::mongod::{Shape, client_of, log_in};
use testkit::prober::Prober;
use testkit::{TestEnv, env};

use super::place::{Place, made, write};
use crate::support::{Stage, Texts, condition_of, existing_uri, uri};

#[tokio::test(flavor = "multi_thread")]
async fn row_2_a_claim_lives_and_ends_on_mongodb() -> Result<()> {
    env(async |env| {
        let _controller = env.controller("").await?;
        let lives = [("alone", Shape::Standalone), ("set", Shape::Set(3))];
        let lives = lives.map(|(name, shape)| Box::pin(life(env, name, shape)));
        try_join_all(lives).await.map(drop)
    })
    .await
}

async fn life(env: &TestEnv, name: &str, shape: Shape) -> Result<()> {
    let stage = Stage::of(env);
    let place = Place::start(shape).await?;
    let server = place.register(&stage, name).await?;
    let mut spec = made("clerk", "orders", &server);
    crate::support::merge(&mut spec, json!({ "databases": ["image"] }));
    stage.claim(name, spec).await?;
    let claim = stage.ready(name).await?;
    let status = claim.status.unwrap_or_default();
    let version = status.active_db.and_then(|active| active.dbversion);
    ensure!(version.as_deref() == Some("6.0.5"), "{version:?}");

    let first = stage.secret(name).await?;
    has_parts(&first, &place)?;
    let client = client_of(&uri(&first)).await?;
    write(&client, "orders").await?;
    write(&client, "image").await?;
    let other = client
        .database("profiles")
        .collection::<mongodb::bson::Document>("x");
    ensure!(other.insert_one(doc! {}).await.is_err(), "a right too many");

    // Connections live on through a rotation, and the previous login works until the next.
    let prober = Prober::start(stage.client.clone(), &stage.namespace, name);
    stage.rotate(name).await?;
    write(&client, "orders").await?;
    log_in(&uri(&first)).await?;
    let second = stage.secret(name).await?;
    ensure!(second.get(key::USERNAME).map(String::as_str) == Some("clerk_b"));
    client.shutdown().await;
    stage.rotate(name).await?;
    ensure!(
        log_in(&uri(&first)).await.is_err(),
        "the first password still works"
    );

    stage
        .patch(name, json!({ "spec": { "userName": "keeper" } }))
        .await?;
    stage.ready(name).await?;
    ensure!(
        stage
            .secret(name)
            .await?
            .get(key::USERNAME)
            .map(String::as_str)
            == Some("keeper_a")
    );
    let report = prober.stop().await?;
    ensure!(report.failures == 0, "{name}: {:?}", report.first_failures);
    ensure!(report.credentials >= 3, "{name}: {report:?}");

    stage.delete(name).await?;
    stage.event(name, "Deleted").await?;
    ensure!(stage.secrets().get_opt(name).await?.is_none());
    ensure!(
        place.logins().await?.is_empty(),
        "{:?}",
        place.logins().await?
    );
    let left = place.root.list_database_names().await?;
    ensure!(
        !left.iter().any(|left| left == "orders" || left == "image"),
        "{left:?}"
    );
    Ok(())
}

/// The keys of mongodb.md's table that every claim has.
fn has_parts(secret: &Texts, place: &Place) -> Result<()> {
    let text = |key: &str| secret.get(key).map(String::as_str);
    let hosts: Vec<_> = place
        .servers
        .ports()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let set = place.servers.set_name();
    for (key, value) in [
        (key::TYPE, Some("mongodb")),
        (key::USERNAME, Some("clerk_a")),
        (key::DATABASE, Some("orders")),
        (key::HOSTNAME, Some("127.0.0.1")),
        (key::HOSTS, Some(hosts.join(",").as_str())),
        (key::AUTH_SOURCE, Some("dbclaims")),
        (key::REPLICA_SET, set.as_deref()),
        (key::CONNECTION_STRING, text(key::URI)),
        (key::DSN, text(key::URI)),
    ] {
        ensure!(text(key) == value, "{key}: {:?}", text(key));
    }
    Ok(())
}

#[tokio::test]
async fn row_6_a_claim_adopts_a_mongodb_that_it_names() -> Result<()> {
    env(async |env| {
        let (stage, _controller) = (Stage::of(env), env.controller("").await?);
        let place = Place::start(Shape::Set(1)).await?;
        let root = &place.root;
        write(root, "orders").await?;
        let mut spec = existing_uri("clerk", &place.source("orders"));
        let wish = json!({
            "type": "mongodb", "databaseRoles": [{ "role": "read" }], "extensions": ["citext"],
        });
        crate::support::merge(&mut spec, wish);
        stage.claim("shop", spec).await?;
        let claim = stage.ready("shop").await?;
        let ignored = condition_of(&claim, Type::FieldsIgnored).context("a word about it")?;
        ensure!(ignored.message.contains("extensions: only on PostgreSQL"));
        let published = uri(&stage.secret("shop").await?);
        let client = client_of(&published).await?;
        let receipts = client
            .database("orders")
            .collection::<mongodb::bson::Document>("receipts");
        ensure!(receipts.find_one(doc! { "total": 7 }).await?.is_some());
        ensure!(
            receipts.insert_one(doc! {}).await.is_err(),
            "it may only read"
        );

        // A claim whose type says otherwise speaks to nobody.
        stage
            .claim("other", existing_uri("clerk", &place.source("orders")))
            .await?;
        let ready = stage.condition("other", Type::Ready, "InvalidSpec").await?;
        ensure!(ready.message.contains("type"), "{}", ready.message);
        stage.delete("shop").await?;
        stage.event("shop", "Retained").await?;
        log_in(&SecretString::clone(&published)).await
    })
    .await
}

/// What people do by hand is put right at the next look, with an Event.
#[tokio::test]
async fn row_20_hands_on_mongodb_are_repaired() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("driftCheckPeriod: 2s\n").await?;
        let place = Place::start(Shape::Set(1)).await?;
        let server = place.register(&stage, "hands").await?;
        stage
            .claim("shop", made("clerk", "orders", &server))
            .await?;
        stage.ready("shop").await?;
        let published = uri(&stage.secret("shop").await?);
        let claims = place.root.database("dbclaims");
        let wrong = doc! { "updateUser": "clerk_a", "pwd": "by-hand" };
        claims.run_command(wrong).await?;
        stage.event("shop", "PasswordRestored").await?;
        log_in(&published).await?;
        claims.run_command(doc! { "dropUser": "clerk_a" }).await?;
        testkit::wait::wait_for("the login to be made again", async || {
            Ok(log_in(&published).await.is_ok().then_some(()))
        })
        .await?;
        Ok(())
    })
    .await
}
