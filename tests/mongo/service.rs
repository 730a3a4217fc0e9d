//! Services that speak MongoDB's protocol without offering all of it: check B 20.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use mongodb::bson::{Bson, doc};
use serde_json::{Value, json};
use testkit::env;
use testkit::mongod::service::{Refusal, Service};
use testkit::mongod::{Shape, log_in, run};
use testkit::prober::Prober;

use super::place::{Place, made};
use crate::support::{Stage, uri};

/// As a server of another make refuses fields: each with the words of one that does.
const FIELDS: [Refusal; 2] = [
    Refusal {
        what: "customData",
        code: 40415,
        words: "BSON field 'createUser.customData' is an unknown field.",
    },
    Refusal {
        what: "mechanisms",
        code: 303,
        words: "Field 'mechanisms' is currently not supported",
    },
];

/// As services do whose logins are made elsewhere.
const LOGINS: [Refusal; 1] = [Refusal {
    what: "createUser",
    code: 8000,
    words: "(Unauthorized) not allowed to do action [createUser]",
}];

/// As one without roles on a database.
const ROLES: [Refusal; 1] = [Refusal {
    what: "grantRolesToUser",
    code: 59,
    words: "no such command: 'grantRolesToUser'",
}];

#[tokio::test(flavor = "multi_thread")]
async fn marks_stand_beside_the_locks_where_logins_carry_none() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 2s\n").await?;
        let place = Place::start(Shape::Standalone).await?;
        let (_service, server) = behind(&stage, &place, "fields", &FIELDS).await?;
        stage
            .claim("shop", made("clerk", "orders", &server))
            .await?;
        stage.ready("shop").await?;
        let prober = Prober::start(stage.client.clone(), &stage.namespace, "shop");
        for _ in 0..3 {
            stage.rotate("shop").await?;
        }
        stage
            .claim_when("shop", "what the service lacks", |claim| {
                let server = claim
                    .status
                    .as_ref()
                    .and_then(|status| status.server.as_ref());
                server.is_some_and(|server| server.unsupported == ["customData", "mechanisms"])
            })
            .await?;
        let login = run(&place.root, "dbclaims", doc! { "usersInfo": "clerk_a" }).await?;
        let login = login
            .get_array("users")?
            .first()
            .and_then(Bson::as_document);
        ensure!(!login.context("no login")?.contains_key("customData"));

        // Another controller learns it from the documents.
        controller.stop().await?;
        let _controller = env.controller("driftCheckPeriod: 2s\n").await?;
        stage.rotate("shop").await?;
        let hand = doc! { "updateUser": "clerk_a", "pwd": "by-hand" };
        run(&place.root, "dbclaims", hand).await?;
        let hand = doc! { "updateUser": "clerk_b", "pwd": "by-hand" };
        run(&place.root, "dbclaims", hand).await?;
        stage.event("shop", "PasswordRestored").await?;
        log_in(&uri(&stage.secret("shop").await?)).await?;
        stage.rotate("shop").await?;
        let report = prober.stop().await?;
        ensure!(report.credentials >= 5, "{report:?}");

        stage.delete("shop").await?;
        stage.event("shop", "Deleted").await?;
        ensure!(place.logins().await?.is_empty());
        let left = doc! { "count": "locks", "query": { "_id.login": { "$exists": true } } };
        let left = run(&place.root, "dbclaims", left).await?;
        ensure!(left.get_i32("n")? == 0, "{left}");
        Ok(())
    })
    .await
}

/// Nothing can stand in for these: the claim says so, and asks no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_makes_no_logins_is_named() -> Result<()> {
    env(async |env| {
        let (stage, _controller) = (Stage::of(env), env.controller("").await?);
        let place = Place::start(Shape::Standalone).await?;
        for (name, database, refusals) in
            [("logins", "orders", &LOGINS), ("roles", "image", &ROLES)]
        {
            let (_service, server) = behind(&stage, &place, name, refusals).await?;
            stage.claim(name, made(name, database, &server)).await?;
            let ready = stage.condition(name, Type::Ready, "InvalidSpec").await?;
            ensure!(ready.message.contains("own tools"), "{}", ready.message);
            ensure!(stage.secrets().get_opt(name).await?.is_none());
        }
        Ok(())
    })
    .await
}

/// The place as a DatabaseServer behind a service, with the name of that server.
async fn behind(
    stage: &Stage,
    place: &Place,
    stem: &str,
    refusals: &'static [Refusal],
) -> Result<(Service, String)> {
    let mongod = place.servers.ports().next().context("no member")?;
    let service = Service::start(mongod, refusals).await?;
    let spec: Value = json!({ "engine": "mongodb", "host": "127.0.0.1", "port": service.port });
    let server = stage.server_of(stem, place.admin(), spec).await?;
    Ok((service, server))
}
