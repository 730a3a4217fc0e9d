//! Somebody else changes the admin's credential too.

use anyhow::{Result, ensure};
use api::conditions::{self, Type, reason};
use api::names::secret_key;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::env;
use testkit::postgres::execute;

use super::stage::{Scene, Server};
use crate::support::log_in;

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_somebody_else_sets_is_set_back_and_told() -> Result<()> {
    env(async |env| {
        let scene = Scene::open(env).await?;
        let (server, admin) = (&scene.server, &scene.admin);
        server.rotate().await?;
        server.initial_login_shut().await?;
        let login = format!("{}_b", admin.login());
        for round in 1..=2 {
            let theirs = format!("ALTER ROLE {login} PASSWORD 'theirs'");
            execute(&scene.postgres.superuser().url(), &theirs).await?;
            // A claim is refused, and so the server is looked at. What this process has cached of
            // the admin may still be logged in.
            server.ask_look(&format!("700h{round}m")).await?;
            let told = server
                .condition(Type::Contested, reason::PASSWORD_CHANGED)
                .await?;
            ensure!(told.message.contains(&login), "{}", told.message);
            wait_until_works(server).await?;
        }
        // A rotation that nobody disturbs ends it.
        server.rotate().await?;
        server
            .when("the contest to be over", |status| {
                conditions::find(&status.conditions, Type::Contested).is_none()
            })
            .await?;
        Ok(())
    })
    .await
}

async fn wait_until_works(server: &Server) -> Result<()> {
    testkit::wait::wait_for("the admin's credential to log in", async || {
        Ok(log_in(&server.secret().await?).await.ok().map(drop))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_else_writes_the_secret_is_named() -> Result<()> {
    env(async |env| {
        let scene = Scene::open(env).await?;
        let (server, admin) = (&scene.server, &scene.admin);
        let edit = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": server.secret_name() },
            "stringData": {
                secret_key::USERNAME: "theirs", secret_key::PASSWORD: "theirs",
                secret_key::URI_DSN: "postgres://theirs:theirs@h/d",
                secret_key::DSN: "host=h user=theirs password=theirs dbname=d",
                secret_key::URI: "postgres://theirs:theirs@h/d",
            },
        });
        let theirs = PatchParams::apply("external-secrets").force();
        let secrets = scene.stage.secrets();
        secrets
            .patch(&server.secret_name(), &theirs, &Patch::Apply(edit))
            .await?;
        server.ask_look("700h").await?;
        let told = server
            .condition(Type::Contested, reason::SECRET_CHANGED)
            .await?;
        ensure!(
            told.message.contains("external-secrets"),
            "{}",
            told.message
        );
        wait_until_works(server).await?;
        assert_eq!(log_in(&server.secret().await?).await?, admin.login());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_object_with_the_same_admin_is_refused_and_names_the_first() -> Result<()> {
    env(async |env| {
        let scene = Scene::open(env).await?;
        let (first, admin) = (&scene.server, &scene.admin);
        let port = scene.postgres.port();
        let second = Server::make(&scene.stage, "twin", admin, port).await?;
        let told = second
            .condition(Type::Contested, reason::OTHER_CONTROLLER)
            .await?;
        ensure!(told.message.contains(&first.name), "{}", told.message);
        first.rotate().await?;
        assert_eq!(log_in(&first.secret().await?).await?, admin.login());
        Ok(())
    })
    .await
}
