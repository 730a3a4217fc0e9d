//! What people do by hand to Secrets, roles and passwords.

use anyhow::{Result, ensure};
use api::conditions::Type;
use api::names::{annotation, secret_key as key};
use kube::ResourceExt;
use kube::api::DeleteParams;
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::postgres::{Dsn, execute, quote};
use testkit::wait::wait_for;
use testkit::{TestEnv, env};

use super::OFTEN;
use crate::support::{Stage, Texts, existing, log_in, own};

/// A Ready claim `shop` on a database of its admin's; returns the owner role and the Secret.
async fn settled(env: &TestEnv, stage: &Stage, admin: &Dsn) -> Result<(String, Texts)> {
    let database = env.create_database_of("orders", admin.login()).await?;
    let clerk = own("clerk");
    let dsn = admin.clone().database(&database);
    stage.claim("shop", existing(&clerk, &dsn)).await?;
    stage.ready("shop").await?;
    let published = stage.secret("shop").await?;
    log_in(&published).await?;
    Ok((clerk, published))
}

/// Waits until the Secret holds a credential that logs in as `role`.
async fn works_again(stage: &Stage, role: &str) -> Result<Texts> {
    let published = wait_for("a published credential that works", async || {
        let published = stage.secret("shop").await?;
        let password = published.get(key::PASSWORD).cloned().unwrap_or_default();
        let words = published.get(key::DSN).cloned().unwrap_or_default();
        ensure!(words.contains(&password), "the Secret's keys disagree");
        ensure!(log_in(&published).await? == role);
        Ok(Some(published))
    })
    .await?;
    stage.ready("shop").await?;
    Ok(published)
}

#[tokio::test]
async fn row_20_an_edited_secret_is_restored_and_the_event_says_so() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let (clerk, before) = settled(env, &stage, &admin).await?;
        // One key: the others still hold the credential, so nothing rotates.
        let edit = json!({ "stringData": { key::PASSWORD: "edited0" } });
        stage.patch_secret("shop", edit).await?;
        stage.event("shop", "SecretRepaired").await?;
        let after = works_again(&stage, &clerk).await?;
        assert_eq!(before, after);
        // A time to come would stop the timer.
        let forged = "2999-01-01T00:00:00Z";
        let annotations = json!({ annotation::ROTATED_AT: forged });
        let edit = json!({ "metadata": { "annotations": annotations } });
        stage.patch_secret("shop", edit).await?;
        wait_for("the forged time to go", async || {
            let object = stage.secrets().get("shop").await?;
            let said = object.annotations().get(annotation::ROTATED_AT).cloned();
            Ok((said.as_deref() != Some(forged)).then_some(()))
        })
        .await?;
        // All keys: nothing in it works any more.
        let edit = json!({ "stringData": {
            key::PASSWORD: "edited1",
            key::URI_DSN: "postgres://nobody:edited1@localhost/x",
            key::DSN: "user=nobody password=edited1",
            key::USERNAME: "nobody", key::READ_ONLY_URI_DSN: "", key::URI: "",
            key::JDBC_URI: "", key::PGPASS: "",
        } });
        stage.patch_secret("shop", edit).await?;
        let note = stage.event("shop", "SecretEdited").await?;
        assert!(note.contains("is published now"), "{note}");
        works_again(&stage, &clerk).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_20_a_deleted_secret_is_published_again_and_the_event_says_so() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let (clerk, _) = settled(env, &stage, &admin).await?;
        stage
            .secrets()
            .delete("shop", &DeleteParams::default())
            .await?;
        stage.event("shop", "SecretDeleted").await?;
        works_again(&stage, &clerk).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_20_a_login_dropped_by_hand_is_made_again_with_the_published_password() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller(OFTEN).await?;
        let admin = env.create_owner_admin().await?;
        let (clerk, before) = settled(env, &stage, &admin).await?;
        let drop = format!("DROP ROLE {}", quote(&before[key::USERNAME]));
        execute(&env.postgres().superuser().url(), &drop).await?;
        let note = stage.event("shop", "ServerRepaired").await?;
        assert!(note.contains(&before[key::USERNAME]), "{note}");
        let after = works_again(&stage, &clerk).await?;
        assert_eq!(before, after, "pods keep what they hold");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_20_an_owner_role_dropped_by_hand_is_made_again_with_its_logins() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller(OFTEN).await?;
        let admin = env.create_owner_admin().await?;
        let (clerk, published) = settled(env, &stage, &admin).await?;
        let superuser = env
            .postgres()
            .superuser()
            .database(&published[key::DATABASE]);
        let role = quote(&clerk);
        let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        execute(&superuser.url(), &drop).await?;
        let note = stage.event("shop", "ServerRepaired").await?;
        assert!(note.contains(&format!("owner role {clerk}")), "{note}");
        works_again(&stage, &clerk).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_20_a_password_changed_by_hand_is_set_again_to_the_published_one() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller(OFTEN).await?;
        let admin = env.create_owner_admin().await?;
        let (clerk, before) = settled(env, &stage, &admin).await?;
        let login = &before[key::USERNAME];
        let change = format!("ALTER ROLE {} PASSWORD 'byhand'", quote(login));
        execute(&env.postgres().superuser().url(), &change).await?;
        let note = stage.event("shop", "PasswordRestored").await?;
        assert!(note.contains(login), "{note}");
        let after = works_again(&stage, &clerk).await?;
        assert_eq!(before, after, "pods keep what they hold");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_changed_admin_password_is_used_once_its_secret_says_it() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller(OFTEN).await?;
        let admin = env.create_owner_admin().await?;
        let database = env.create_database_of("orders", admin.login()).await?;
        let (clerk, login) = (own("clerk"), admin.login());
        let url = admin.clone().database(&database).url();
        stage.put_secret("admin", &[(key::URI_DSN, url.expose_secret())]).await?;
        let source = json!({ "type": "database", "database": { "secretRef": { "name": "admin" } } });
        let spec = json!({
            "userName": clerk, "databaseName": database,
            "useExistingSource": true, "sourceDataFrom": source,
        });
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        let change = format!(
            "ALTER ROLE {} PASSWORD 'later'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'",
            quote(login),
        );
        execute(&env.postgres().superuser().url(), &change).await?;
        stage.condition("shop", Type::Ready, "Forbidden").await?;
        let note = stage.event("shop", "Forbidden").await?;
        assert!(note.contains(login), "the Event names the admin: {note}");
        // Nothing of the claim's own is disturbed meanwhile.
        log_in(&stage.secret("shop").await?).await?;
        let url = url.expose_secret().replace(admin.password().expose_secret(), "later");
        stage.put_secret("admin", &[(key::URI_DSN, &url)]).await?;
        stage.ready("shop").await?;
        stage.event("shop", "Recovered").await?;
        Ok(())
    })
    .await
}
