//! The tripwire on MongoDB: the logs of members instead of a function.

use anyhow::{Context, Result, ensure};
use api::names::secret_key as key;
use mongodb::bson::Document;
use serde_json::json;
use testkit::assets::documented;
use testkit::env;
use testkit::mongod::{Shape, run};

use super::place::{Place, made};
use crate::claims::tripwire::{counted, tripwire, try_until_told};
use crate::support::{Stage, log_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_credential_that_is_tried_is_told() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let place = Place::start(Shape::Standalone).await?;
        let wished = json!({ "tripwire": { "enabled": true, "grace": "1s" } });
        let server = place.register_with(&stage, "watched", wished).await?;
        let message = tripwire(&stage, &server, "Forbidden").await?;
        ensure!(message.contains("getLog"), "{message}");
        let grant = documented("docs/operations.md", "json", "grantPrivilegesToRole")?;
        let grant: Document = serde_json::from_str(&grant)?;
        run(&place.root, "admin", grant).await?;
        tripwire(&stage, &server, "Available").await?;

        stage
            .claim("shop", made("clerk", "orders", &server))
            .await?;
        stage.ready("shop").await?;
        let first = stage.secret("shop").await?;
        stage.rotate("shop").await?;
        stage.rotate("shop").await?;
        log_in(&stage.secret("shop").await?).await?;
        assert_eq!(counted(&stage, &controller).await?, 0);
        let (times, note) = try_until_told(&stage, "shop", &first).await?;
        let login = first.get(key::USERNAME).context("no login")?;
        ensure!(
            note.contains(&format!("login {login} from 127.0.0.1")),
            "{note}"
        );
        ensure!(times > 0 && counted(&stage, &controller).await? > 0);
        Ok(())
    })
    .await
}
