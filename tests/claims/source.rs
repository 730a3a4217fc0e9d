//! Claims on databases that exist: by DSN, by secretRef, by both.

use anyhow::Result;
use api::conditions::Type;
use api::names::{label, secret_key as key};
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::postgres::Dsn;
use testkit::{TestEnv, env};

use crate::support::{Stage, condition_of, existing, log_in, merge, own};

/// An admin that is no superuser, and a database that belongs to it.
pub(crate) async fn owned_database(env: &TestEnv) -> Result<Dsn> {
    let admin = env.create_owner_admin().await?;
    let database = env.create_database_of("orders", admin.login()).await?;
    Ok(admin.database(&database))
}

#[tokio::test]
async fn row_6_a_claim_on_an_existing_database_by_dsn_alone_works_and_is_called_insecure()
-> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let clerk = own("clerk");
        stage.claim("shop", existing(&clerk, &admin)).await?;
        let claim = stage.ready("shop").await?;
        assert_eq!(log_in(&stage.secret("shop").await?).await?, clerk);
        let insecure = condition_of(&claim, Type::Insecure).expect("a password in the spec");
        assert_eq!(insecure.reason, "PasswordInSpec");
        let status = serde_json::to_string(&claim.status)?;
        assert!(!status.contains(admin.password().expose_secret()));
        let active = claim.status.and_then(|status| status.active_db);
        let active = active.expect("an active database");
        assert_eq!(active.db_state.as_deref(), Some("using-existing-db"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_6_a_claim_on_an_existing_database_by_secret_alone_works_with_each_of_its_forms()
-> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let url = admin.url();
        let (url, port) = (url.expose_secret(), env.postgres().port().to_string());
        let database = url.rsplit(['/', '?']).nth(1).expect("a database").to_owned();
        let (login, password) = (admin.login(), admin.password().expose_secret());
        let words = format!(
            "host=localhost port={port} user={login} password={password} dbname={database} sslmode=disable"
        );
        let parts = [
            (key::HOSTNAME, "localhost"),
            (key::PORT, &port),
            (key::USERNAME, login),
            (key::PASSWORD, password),
            (key::DATABASE, &database),
            (key::SSL_MODE, "disable"),
        ];
        let forms: [(&str, &[(&str, &str)]); 3] = [
            ("uri", &[(key::URI_DSN, url)]),
            ("words", &[(key::DSN, &words)]),
            ("parts", &parts),
        ];
        for (name, form) in forms {
            let (secret, clerk) = (format!("{name}-admin"), own("clerk"));
            stage.put_secret(&secret, form).await?;
            let source = json!({ "type": "database", "database": { "secretRef": { "name": secret } } });
            let spec = json!({
                "userName": clerk, "databaseName": database,
                "useExistingSource": true, "sourceDataFrom": source,
            });
            stage.claim(name, spec).await?;
            let claim = stage.ready(name).await?;
            assert_eq!(log_in(&stage.secret(name).await?).await?, clerk, "{name}");
            assert!(condition_of(&claim, Type::Insecure).is_none(), "{name}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_6_the_password_of_the_secret_completes_and_beats_the_dsn() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let url = admin.url();
        let url = url.expose_secret();
        let password = admin.password().expose_secret();
        stage
            .put_secret("till-admin", &[("password", password)])
            .await?;
        let without = url.replace(&format!(":{password}@"), "@");
        let empty = url.replace(&format!(":{password}@"), ":@");
        let wrong = url.replace(password, "outdated");
        for (name, dsn) in [("without", without), ("empty", empty), ("wrong", wrong)] {
            let clerk = own("clerk");
            let mut spec = existing(&clerk, &admin);
            let database = json!({ "dsn": dsn, "secretRef": { "name": "till-admin" } });
            merge(
                &mut spec,
                json!({ "sourceDataFrom": { "database": database } }),
            );
            stage.claim(name, spec).await?;
            stage.ready(name).await?;
            assert_eq!(log_in(&stage.secret(name).await?).await?, clerk, "{name}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_7_a_secret_of_another_namespace_is_refused_with_the_reason() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let database = json!({ "secretRef": { "name": "admin", "namespace": "default" } });
        let spec = json!({
            "userName": own("clerk"), "databaseName": "orders", "useExistingSource": true,
            "sourceDataFrom": { "type": "database", "database": database },
        });
        stage.claim("shop", spec).await?;
        let ready = stage.condition("shop", Type::Ready, "Forbidden").await?;
        assert!(
            ready.message.contains("its own namespace only"),
            "{}",
            ready.message
        );
        assert!(stage.secrets().get_opt("shop").await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_10_a_source_is_adopted_in_place_and_never_answered_by_an_empty_database() -> Result<()>
{
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let clerk = own("clerk");
        let mut spec = existing(&clerk, &admin);
        merge(&mut spec, json!({ "useExistingSource": false }));
        stage.claim("shop", spec).await?;
        let claim = stage.ready("shop").await?;
        let migrate = condition_of(&claim, Type::NeedsMigrate).expect("a word about the migration");
        assert_eq!(migrate.status, "True");
        let published = stage.secret("shop").await?;
        let url = admin.url();
        let source = url.expose_secret();
        assert!(source.contains(&format!("/{}?", published[key::DATABASE])));
        assert_eq!(log_in(&published).await?, clerk);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_5_a_claim_of_another_class_is_left_alone() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let mut foreign = existing(&own("clerk"), &admin);
        merge(&mut foreign, json!({ "class": "nobody" }));
        stage.claim("foreign", foreign).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let foreign = stage.get("foreign").await?;
        assert!(foreign.status.is_none() && foreign.metadata.finalizers.is_none());
        let secret = stage.secrets().get("shop").await?;
        let labels = secret.metadata.labels.unwrap_or_default();
        // Row 23: the label of the original.
        assert_eq!(labels[label::MANAGED_BY], label::CLAIM_MANAGER);
        Ok(())
    })
    .await
}
