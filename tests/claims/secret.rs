//! The published Secret: its keys and bytes, its template, and Secrets that are not ours.

use anyhow::{Result, ensure};
use api::conditions::Type;
use api::names::{annotation, label, secret_key as key};
use serde_json::json;
use testkit::env;
use testkit::wait::wait_for;

use super::source::owned_database;
use crate::support::{Stage, existing, log_in, merge, own};

#[tokio::test]
async fn row_21_the_secret_has_the_originals_keys_and_bytes_and_ours_beside_them() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let clerk = own("clerk");
        let mut spec = existing(&clerk, &admin);
        let template = json!({
            "labels": { "team": "till" }, "annotations": { "note": "rent" },
            "data": { "TILL": "{username}@{host}/{database}?{password:encoded}" }
        });
        merge(&mut spec, json!({
            "secretName": "till-db", "dsnName": "app.dsn", "secretTemplate": template
        }));
        let claim = stage.claim("shop", spec).await?;
        let claim_uid = claim.metadata.uid.unwrap_or_default();
        let claim = stage.ready("shop").await?;
        let binding = claim.status.and_then(|status| status.binding);
        assert_eq!(binding.map(|binding| binding.name).as_deref(), Some("till-db"));

        let secret = stage.secrets().get("till-db").await?;
        assert_eq!(secret.type_.as_deref(), Some("Opaque"));
        let labels = secret.metadata.labels.clone().unwrap_or_default();
        assert_eq!(labels["team"], "till");
        assert_eq!(labels[label::MANAGED_BY], label::CLAIM_MANAGER);
        let annotations = secret.metadata.annotations.clone().unwrap_or_default();
        assert_eq!(annotations["note"], "rent");
        assert_eq!(annotations[annotation::CLAIM_UID], claim_uid);

        let published = stage.secret("till-db").await?;
        let text = |key: &str| published[key].as_str();
        let (host, port, user) = (text(key::HOSTNAME), text(key::PORT), text(key::USERNAME));
        let (password, database) = (text(key::PASSWORD), text(key::DATABASE));
        assert_eq!((host, text(key::SSL_MODE)), ("localhost", "disable"));
        assert_eq!(user, format!("{clerk}_a"), "the first login is _a");
        let words = format!(
            "host={host} port={port} user={user} password={password} dbname={database} sslmode=disable"
        );
        let encoded = encode(password);
        let uri = format!("postgres://{user}:{encoded}@{host}:{port}/{database}?sslmode=disable");
        let own_key = format!("{user}@{host}/{database}?{encoded}");
        for (key, want) in [
            ("TILL", &own_key),
            (key::DSN, &words),
            ("app.dsn", &words),
            (key::URI_DSN, &uri),
            ("uri_app.dsn", &uri),
            (key::READ_ONLY_URI_DSN, &uri),
            (key::URI, &uri),
        ] {
            assert_eq!(text(key), want, "{key}");
        }
        assert_eq!((text(key::TYPE), text(key::HOST)), ("postgresql", host));
        assert!(text(key::JDBC_URI).starts_with("jdbc:postgresql://"));
        assert!(text(key::PGPASS).starts_with(&format!("{host}:{port}:{database}:{user}:")));

        // What is wished no longer goes before its password ends; what users added stays.
        let own = json!({ "stringData": { "theirs": "kept" } });
        stage.patch_secret("till-db", own).await?;
        let less = json!({ "dsnName": null, "secretTemplate": { "data": null } });
        stage.patch("shop", json!({ "spec": less })).await?;
        wait_for("the keys to go", async || {
            let secret = stage.secret("till-db").await?;
            let gone = ["TILL", "app.dsn", "uri_app.dsn"];
            let are_gone = gone.iter().all(|key| !secret.contains_key(*key));
            ensure!(secret.contains_key("theirs") && secret.contains_key(key::DSN), "too much went");
            Ok(are_gone.then_some(()))
        })
        .await
    })
    .await
}

/// All but the unreserved characters percent-encoded, as section 3.1 of the reference says.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encoded = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[tokio::test]
async fn row_22_a_foreign_secret_is_never_touched() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let foreign = stage
            .put_secret("shop", &[("password", "somebody's")])
            .await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        let ready = stage.condition("shop", Type::Ready, "Blocked").await?;
        assert!(ready.message.contains("Secret shop"), "{}", ready.message);
        let after = stage.secrets().get("shop").await?;
        assert_eq!(
            after.metadata.resource_version,
            foreign.metadata.resource_version
        );
        // Another name settles it.
        stage
            .patch("shop", json!({ "spec": { "secretName": "shop-db" } }))
            .await?;
        stage.ready("shop").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_22_a_secret_of_an_earlier_name_stays_true_and_goes_with_its_login() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let former = stage.secret("shop").await?;
        stage
            .patch("shop", json!({ "spec": { "secretName": "till" } }))
            .await?;
        let note = stage.event("shop", "SecretRenamed").await?;
        assert!(
            note.contains("Secret till") && note.contains("Secret shop"),
            "{note}"
        );
        stage.ready("shop").await?;
        log_in(&stage.secret("till").await?).await?;
        // Whoever still mounts the Secret of the earlier name goes on.
        assert_eq!(stage.secret("shop").await?, former);
        log_in(&former).await?;
        stage.rotate("shop").await?;
        let note = stage.event("shop", "FormerSecretRemoved").await?;
        assert!(note.contains("Secret shop"), "{note}");
        assert!(stage.secrets().get_opt("shop").await?.is_none());
        log_in(&stage.secret("till").await?).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_24_passwords_keep_the_configured_policy() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let config = "passwordConfig:\n  passwordComplexity: enabled\n  minPasswordLength: 99\n";
        let _controller = env.controller(config).await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let published = stage.secret("shop").await?;
        let password = &published[key::PASSWORD];
        assert_eq!(password.chars().count(), 99);
        assert!(password.chars().any(|c| c.is_ascii_digit()));
        assert!(password.chars().any(|c| c.is_ascii_punctuation()));
        Ok(())
    })
    .await
}
