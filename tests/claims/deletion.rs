//! What deleting a claim leaves and removes: by policy, with a dead server, with a bad spec.

use anyhow::Result;
use api::names::secret_key as key;
use serde_json::json;
use testkit::env;
use testkit::postgres::PostgresServer;

use super::server::fresh;
use super::source::owned_database;
use crate::support::{Stage, ask, existing, log_in, merge, own};

/// How many roles of that owner role there are.
fn roles(role: &str) -> String {
    format!(
        "SELECT count(*)::text FROM pg_roles WHERE rolname IN ('{role}', '{role}_a', '{role}_b')"
    )
}

#[tokio::test]
async fn row_44_retain_keeps_secret_and_logins_and_the_event_lists_them() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let clerk = own("clerk");
        stage.claim("shop", existing(&clerk, &admin)).await?;
        stage.ready("shop").await?;
        let published = stage.secret("shop").await?;
        let owners = stage.secrets().get("shop").await?.metadata.owner_references;
        assert!(
            owners.unwrap_or_default().is_empty(),
            "row 22: none under Retain"
        );
        stage.delete("shop").await?;
        let note = stage.event("shop", "Retained").await?;
        for left in ["Secret shop", clerk.as_str(), &published[key::DATABASE]] {
            assert!(note.contains(left), "{left}: {note}");
        }
        assert_eq!(stage.secret("shop").await?, published);
        log_in(&published).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_44_delete_removes_what_the_claim_made_and_nothing_else() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let adopted = owned_database(env).await?;
        let clerk = own("clerk");
        let mut spec = existing(&clerk, &adopted);
        merge(&mut spec, json!({ "reclaimPolicy": "Delete" }));
        stage.claim("adopted", spec).await?;
        let admin = env.create_owner_admin().await?;
        let port = json!({ "port": env.postgres().port() });
        let server = stage.server("own", &admin, port).await?;
        let (role, database, mut spec) = fresh(env, &server);
        spec["reclaimPolicy"] = json!("Delete");
        stage.claim("made", spec).await?;
        for (name, role) in [("adopted", &clerk), ("made", &role)] {
            stage.ready(name).await?;
            let published = stage.secret(name).await?;
            let secret = stage.secrets().get(name).await?;
            let owners = secret.metadata.owner_references.unwrap_or_default();
            assert_eq!(owners.len(), 1, "row 22: the claim owns it under Delete");
            let uri = crate::support::uri(&published);
            testkit::postgres::execute(&uri, "CREATE TABLE receipts (id int)").await?;
            stage.delete(name).await?;
            stage.event(name, "Deleted").await?;
            assert!(stage.secrets().get_opt(name).await?.is_none());
            assert_eq!(
                ask(env.postgres(), "postgres", &roles(role)).await?,
                "0",
                "{name}"
            );
            let kept = format!(
                "SELECT count(*)::text FROM pg_database WHERE datname = '{}'",
                published[key::DATABASE]
            );
            let kept = ask(env.postgres(), "postgres", &kept).await?;
            // An adopted database is somebody else's, with what the application left in it.
            assert_eq!(kept, if name == "adopted" { "1" } else { "0" }, "{name}");
        }
        let gone = format!("SELECT count(*)::text FROM pg_database WHERE datname = '{database}'");
        assert_eq!(ask(env.postgres(), "postgres", &gone).await?, "0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_45_deletion_ends_with_a_dead_server_and_says_what_is_left() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        postgres.create_database("orders", admin.login()).await?;
        let mut spec = existing("clerk", &admin.database("orders"));
        merge(&mut spec, json!({ "reclaimPolicy": "Delete" }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        postgres.stop().await?;
        stage.delete("shop").await?;
        let note = stage.event("shop", "LeftBehind").await?;
        assert!(
            note.contains("role clerk") && note.contains("orders"),
            "{note}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_45_deletion_ends_with_a_spec_that_became_invalid() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        for (name, policy) in [("kept", "Retain"), ("gone", "Delete")] {
            let mut spec = existing(&own("clerk"), &admin);
            merge(&mut spec, json!({ "reclaimPolicy": policy }));
            stage.claim(name, spec).await?;
            stage.ready(name).await?;
            // The API server admits it, and only the controller can know that it is no host.
            let bad = json!({ "spec": { "sourceDataFrom": { "database": {
                "dsn": "postgres://admin@:notaport/orders"
            } } } });
            stage.patch(name, bad).await?;
            stage
                .condition(name, api::conditions::Type::Ready, "InvalidSpec")
                .await?;
            stage.delete(name).await?;
        }
        stage.event("kept", "Retained").await?;
        let note = stage.event("gone", "LeftBehind").await?;
        assert!(note.contains("could not be removed"), "{note}");
        Ok(())
    })
    .await
}
