//! A set that has lost its majority: checks B 5 and B 7 from end to end.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use mongodb::bson::doc;
use testkit::env;
use testkit::mongod::{Shape, client, log_in, run};

use super::place::{Place, made};
use crate::support::{Stage, rotation_of, uri};

/// Nothing is published that a majority has not confirmed, the claim says so, and what is published
/// logs in all the time.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_published_and_the_claim_says_so() -> Result<()> {
    env(async |env| {
        let (stage, _controller) = (Stage::of(env), env.controller("").await?);
        let place = Place::start(Shape::Set(3)).await?;
        let server = place.register(&stage, "majority").await?;
        stage
            .claim("shop", made("clerk", "orders", &server))
            .await?;
        stage.ready("shop").await?;
        let before = stage.secrets().get("shop").await?.metadata.resource_version;
        let published = stage.secret("shop").await?;

        let (primary, others) = place.servers.by_role().await?;
        for member in &others {
            member.pause().await?;
        }
        let nonce = stage.ask_rotation("shop").await?;
        let ready = stage.condition("shop", Type::Ready, "Unavailable").await;
        let text = |key: &str| published.get(key).map(String::as_str).unwrap_or_default();
        let login = (text(key::USERNAME), text(key::PASSWORD), "dbclaims");
        let still = client(std::iter::once(primary.port), None, Some(login))?;
        let still = run(&still, "admin", doc! { "connectionStatus": 1 }).await;
        let now = stage.secrets().get("shop").await?.metadata.resource_version;
        for member in &others {
            member.process.resume()?;
        }
        ensure!(!ready?.message.is_empty());
        still.context("the published login at the member that is left")?;
        assert_eq!(now, before);

        stage
            .claim_when("shop", "claim shop to rotate", |claim| {
                rotation_of(claim).is_some_and(|found| found.handled_nonce.as_ref() == Some(&nonce))
            })
            .await?;
        stage.ready("shop").await?;
        log_in(&uri(&stage.secret("shop").await?)).await
    })
    .await
}
