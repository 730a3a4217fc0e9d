//! What the rotation of an admin brings about.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::names::secret_key;
use kube::api::DeleteParams;
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::assets::documented;
use testkit::env;
use testkit::postgres::{PostgresServer, execute};

use super::stage::{Scene, Server};
use crate::support::{Stage, ask, log_in, uri};

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_two_logins_take_turns_and_the_first_one_loses_its_password() -> Result<()> {
    env(async |env| {
        let scene = Scene::open(env).await?;
        let (stage, server, admin) = (&scene.stage, &scene.server, &scene.admin);
        let role = admin.login().to_owned();

        let first = server.secret().await?;
        assert_eq!(first[secret_key::USERNAME], format!("{role}_a"));
        assert_eq!(log_in(&first).await?, role);
        execute(&admin.url(), "SELECT 1")
            .await
            .context("the operator's login still works")?;
        server.claim(env, "before").await?;

        server.rotate().await?;
        let second = server.secret().await?;
        assert_eq!(second[secret_key::USERNAME], format!("{role}_b"));
        assert_eq!(log_in(&second).await?, role);
        ensure!(log_in(&first).await.is_ok(), "the one before still works");
        let shut = server.initial_login_shut().await?;
        assert_eq!(shut.initial_login_shut, Some(role.clone()));
        ensure!(execute(&admin.url(), "SELECT 1").await.is_err(), "it is shut");

        server.rotate().await?;
        assert_eq!(log_in(&server.secret().await?).await?, role);
        ensure!(log_in(&first).await.is_err(), "its login has another password");
        // What was made under one login is kept under the next.
        stage.rotate("before").await?;
        assert_eq!(stage.ready("before").await?.spec.server, Some(server.name.clone()));
        server.claim(env, "after").await?;
        let owners = "SELECT count(*)::text FROM pg_auth_members WHERE member::regrole::text ~ '_[ab]$' AND roleid::regrole::text LIKE 'admin%'";
        assert_eq!(ask(&scene.postgres, "postgres", owners).await?, "2", "the two logins");
        Ok(())
    })
    .await
}

/// From PostgreSQL 16 on nobody may let others act as himself.
#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_lets_the_logins_in_once_where_the_admin_may_not() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        for major in [16, 17, 18] {
            let postgres = PostgresServer::builder().major(major).start().await?;
            let admin = postgres.create_owner_admin().await?.dsn;
            let stem = format!("pg{major}");
            let server = Server::make(&stage, &stem, &admin, postgres.port()).await?;
            let refused = server.condition(Type::AdminRotation, "Forbidden").await?;
            let said = refused.message.as_str();
            ensure!(said.contains("Rotating the admin"), "{said}");
            server
                .when("the server to be ready all the same", |status| {
                    api::conditions::is_true(&status.conditions, Type::Ready)
                })
                .await?;
            let role = admin.login();
            let lending = documented("docs/operations.md", "sql", "set_admin_password")?;
            let lending = lending.replace("dbadmin", role);
            execute(&postgres.superuser().url(), &lending).await?;
            server.ask_look("700h").await?;
            server.published(1).await?;
            server.condition(Type::AdminRotation, "Available").await?;
            assert_eq!(log_in(&server.secret().await?).await?, role);
            server.claim(env, &stem).await?;
            server.rotate().await?;
            stage.rotate(&stem).await?;
            // Only these two logins, and no password in plain text.
            let secret = uri(&server.secret().await?);
            for (login, verifier) in [("postgres", "SCRAM-SHA-256$x"), ("_a", "theirs")] {
                let login = if login == "_a" {
                    format!("{role}_a")
                } else {
                    login.to_owned()
                };
                let other = format!(
                    "SELECT dbcontroller.set_admin_password('{login}', '{verifier}', 'm', NULL)"
                );
                ensure!(execute(&secret, &other).await.is_err(), "{other}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_made_again_goes_on_with_the_credential_that_is_there() -> Result<()> {
    env(async |env| {
        let scene = Scene::open(env).await?;
        let (server, admin) = (&scene.server, &scene.admin);
        server.rotate().await?;
        server.initial_login_shut().await?;
        let kept = server.secret().await?;
        server.make_again().await?;
        server.condition(Type::AdminRotation, "Available").await?;
        assert_eq!(
            server.secret().await?[secret_key::PASSWORD],
            kept[secret_key::PASSWORD]
        );
        server.claim(env, "after").await?;
        server.rotate().await?;
        assert_eq!(log_in(&server.secret().await?).await?, admin.login());

        // To begin afresh, the operator gives his login a password again.
        let (name, secrets) = (server.secret_name(), scene.stage.secrets());
        let password = admin.password().expose_secret();
        let giving = format!("ALTER ROLE {} PASSWORD '{password}'", admin.login());
        execute(&scene.postgres.superuser().url(), &giving).await?;
        secrets.delete(&name, &DeleteParams::default()).await?;
        server.ask_look("700h").await?;
        server.published(4).await?;
        server.initial_login_shut().await?;
        ensure!(
            execute(&admin.url(), "SELECT 1").await.is_err(),
            "it is shut again"
        );
        assert_eq!(log_in(&server.secret().await?).await?, admin.login());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_goes_on_when_its_timer_is_off_and_a_superuser_is_not_rotated() -> Result<()> {
    env(async |env| {
        let scene = Scene::open(env).await?;
        let (postgres, server, admin) = (&scene.postgres, &scene.server, &scene.admin);
        let boss = postgres.create_login("boss", "SUPERUSER").await?;
        let under = Server::make(&scene.stage, "super", &boss, postgres.port()).await?;
        let refused = under.condition(Type::AdminRotation, "InvalidSpec").await?;
        ensure!(refused.message.contains("superuser"), "{}", refused.message);
        under.claim(env, "under-a-superuser").await?;

        server
            .patch(json!({ "spec": { "adminRotation": null } }))
            .await?;
        server
            .when("the condition to go", |status| {
                api::conditions::find(&status.conditions, Type::AdminRotation).is_none()
            })
            .await?;
        server.claim(env, "after").await?;
        assert_eq!(log_in(&server.secret().await?).await?, admin.login());
        Ok(())
    })
    .await
}
