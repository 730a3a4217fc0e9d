//! The power of a cloud's superuser: by the consent of both operators, and only as long as it lasts.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::server::DatabaseServer;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::env;
use testkit::postgres::{PostgresServer, execute, quote};
use testkit::wait::wait_for;

use crate::support::{Stage, ask, condition_of, log_in};

const ALLOWED: &str = "driftCheckPeriod: 1s\nsupportSuperUserElevation: true\n";

/// Whether owner role `orders` has it.
const POWER: &str = "SELECT rolcreaterole || ' ' || EXISTS (SELECT FROM pg_auth_members m
     WHERE m.member = r.oid AND m.roleid = 'rds_superuser'::regrole)
     FROM pg_roles r WHERE rolname = 'orders'";

async fn has_power(postgres: &PostgresServer, want: &str) -> Result<()> {
    wait_for(format!("power to be {want}"), async || {
        let found = ask(postgres, "postgres", POWER).await?;
        ensure!(found == want, "{found}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_32_power_lasts_as_long_as_both_consents() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller(ALLOWED).await?;
        // The newest version, where an admin gives only what it has with ADMIN OPTION.
        let postgres = PostgresServer::builder().major(18).start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let superuser = postgres.superuser().url();
        execute(&superuser, "CREATE ROLE rds_superuser").await?;
        let spec = json!({ "port": postgres.port(), "policy": { "allowSuperUser": true } });
        let server = stage.server("cloud", &admin, spec).await?;
        let claim = json!({
            "userName": "orders", "databaseName": "orders", "server": server,
            "enableSuperUser": true,
        });
        stage.claim("orders", claim).await?;
        let ready = stage.ready("orders").await?;
        let ignored = condition_of(&ready, Type::FieldsIgnored).context("a word about it")?;
        ensure!(
            ignored.message.contains("ADMIN OPTION"),
            "{}",
            ignored.message
        );
        has_power(&postgres, "false false").await?;

        let able = format!(
            "GRANT rds_superuser TO {} WITH ADMIN OPTION",
            quote(admin.login())
        );
        execute(&superuser, &able).await?;
        has_power(&postgres, "true true").await?;
        stage.event("orders", "SuperUserGranted").await?;
        let claim = stage.claim_when("orders", "nothing to be ignored", |claim| {
            condition_of(claim, Type::FieldsIgnored).is_none()
        });
        claim.await?;
        assert_eq!(log_in(&stage.secret("orders").await?).await?, "orders");
        stage.rotate("orders").await?;

        let servers = Api::<DatabaseServer>::all(stage.client.clone());
        let closed = json!({ "spec": { "policy": { "allowSuperUser": false } } });
        let params = PatchParams::default();
        servers
            .patch(&server, &params, &Patch::Merge(closed))
            .await?;
        has_power(&postgres, "false false").await?;
        stage.event("orders", "SuperUserRevoked").await?;
        let ignored = stage
            .condition("orders", Type::FieldsIgnored, "NoEffect")
            .await?;
        ensure!(ignored.message.contains("policy"), "{}", ignored.message);

        let open = json!({ "spec": { "policy": { "allowSuperUser": true } } });
        servers.patch(&server, &params, &Patch::Merge(open)).await?;
        has_power(&postgres, "true true").await?;
        stage
            .patch("orders", json!({ "spec": { "enableSuperUser": false } }))
            .await?;
        has_power(&postgres, "false false").await?;
        // Once each: what is as it should be is not said again.
        let events = stage.events("orders").await?;
        let count = |reason: &str| events.iter().filter(|(found, _)| found == reason).count();
        ensure!(count("SuperUserGranted") <= 2, "{events:?}");
        assert_eq!(log_in(&stage.secret("orders").await?).await?, "orders");
        Ok(())
    })
    .await
}
