//! New databases on a DatabaseServer: admins, admission, quotas.

use anyhow::Result;
use api::conditions::{self, Type};
use api::names::secret_key as key;
use serde_json::{Value, json};
use testkit::{TestEnv, env, wait::wait_for};

use crate::support::{Stage, ask, log_in, own};

/// A claim on a new database of its own, which goes with the test.
pub(crate) fn fresh(env: &TestEnv, server: &str) -> (String, String, Value) {
    let (role, database) = (own("clerk"), own("orders"));
    env.adopt_database(&database);
    for name in [format!("{role}_a"), format!("{role}_b"), role.clone()] {
        env.adopt_role(&name);
    }
    let spec = json!({ "userName": role, "databaseName": database, "server": server });
    (role, database, spec)
}

#[tokio::test]
async fn row_8_a_new_database_belongs_to_the_owner_role_under_any_admin() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admins = [
            ("owner", env.create_owner_admin().await?),
            ("super", env.postgres().superuser()),
        ];
        for (stem, admin) in admins {
            let port = json!({ "port": env.postgres().port() });
            let server = stage.server(stem, &admin, port).await?;
            let (role, database, spec) = fresh(env, &server);
            stage.claim(stem, spec).await?;
            let claim = stage.ready(stem).await?;
            let published = stage.secret(stem).await?;
            assert_eq!(log_in(&published).await?, role);
            assert_eq!(published[key::DATABASE], database);
            let owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()";
            assert_eq!(ask(env.postgres(), &database, owner).await?, role);
            let recorded = claim.status.and_then(|status| status.server);
            let recorded = recorded.expect("a recorded server");
            assert_eq!(recorded.name, Some(server));
            assert!(recorded.database_created);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_admits_only_the_namespaces_that_it_names() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let closed = json!({
            "port": env.postgres().port(), "allowedNamespaces": { "names": ["somebody-else"] }
        });
        let server = stage.server("closed", &admin, closed).await?;
        let (_, _, spec) = fresh(env, &server);
        stage.claim("shop", spec).await?;
        let ready = stage.condition("shop", Type::Ready, "Forbidden").await?;
        assert!(
            ready.message.contains("does not admit namespace"),
            "{}",
            ready.message
        );
        let servers: kube::Api<api::server::DatabaseServer> = kube::Api::all(env.client());
        let open = json!({ "spec": { "allowedNamespaces": { "names": [env.namespace()] } } });
        let patch = kube::api::Patch::Merge(open);
        servers
            .patch(&server, &kube::api::PatchParams::default(), &patch)
            .await?;
        stage.ready("shop").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_quota_holds_back_one_claim_too_many_and_lets_it_in_when_there_is_room() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let one = json!({ "port": env.postgres().port(), "quotas": { "maxDatabases": 1 } });
        let server = stage.server("small", &admin, one).await?;
        let (_, _, spec) = fresh(env, &server);
        stage.claim("first", spec).await?;
        stage.ready("first").await?;
        let (_, _, spec) = fresh(env, &server);
        stage.claim("second", spec).await?;
        let ready = stage.condition("second", Type::Ready, "Blocked").await?;
        assert!(ready.message.contains("quota"), "{}", ready.message);
        stage.delete("first").await?;
        stage.nudge("second").await?;
        stage.ready("second").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_quota_holds_among_claims_of_one_instant() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let two = json!({ "port": env.postgres().port(), "quotas": { "maxDatabases": 2 } });
        let server = stage.server("small", &admin, two).await?;
        let names: Vec<String> = (0..6).map(|number| format!("claim-{number}")).collect();
        let made = names.iter().map(|name| {
            let (_, _, spec) = fresh(env, &server);
            stage.claim(name, spec)
        });
        futures::future::try_join_all(made).await?;
        let states = wait_for("every claim to be served or refused", async || {
            let mut ready = 0;
            for name in &names {
                let status = stage.get(name).await?.status.unwrap_or_default();
                match conditions::find(&status.conditions, Type::Ready) {
                    Some(found) if found.status == "True" => ready += 1,
                    Some(found) if found.reason == "Blocked" => {}
                    _ => return Ok(None),
                }
            }
            Ok(Some(ready))
        })
        .await?;
        assert_eq!(states, 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_7_an_admins_secret_of_another_namespace_takes_the_operators_consent() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let foreign = json!({
            "port": env.postgres().port(),
            "adminSecretRef": { "name": "admin", "namespace": "kube-system" },
        });
        let server = stage.server("foreign", &admin, foreign).await?;
        let (_, _, spec) = fresh(env, &server);
        stage.claim("shop", spec).await?;
        let ready = stage.condition("shop", Type::Ready, "Forbidden").await?;
        assert!(
            ready.message.contains("adminSecretNamespaces"),
            "{}",
            ready.message
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_27_extensions_come_by_list_and_a_missing_one_degrades_the_claim() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let port = json!({ "port": env.postgres().port() });
        let server = stage
            .server("super", &env.postgres().superuser(), port)
            .await?;
        let (_, database, mut spec) = fresh(env, &server);
        spec["extensions"] = json!(["citext", "no_such_extension"]);
        stage.claim("shop", spec).await?;
        let degraded = stage
            .condition("shop", Type::Degraded, "ExtensionsMissing")
            .await?;
        assert!(
            degraded.message.contains("no_such_extension"),
            "{}",
            degraded.message
        );
        assert!(!degraded.message.contains("citext"), "{}", degraded.message);
        stage.ready("shop").await?;
        let installed = "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension";
        assert_eq!(
            ask(env.postgres(), &database, installed).await?,
            "citext,plpgsql"
        );
        Ok(())
    })
    .await
}
