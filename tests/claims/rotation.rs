//! Rotations: by nonce, by timer, paused, deferred, and what becomes of the previous login.

use anyhow::Result;
use api::conditions::Type;
use api::names::{annotation, secret_key as key};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sqlx::Connection;
use testkit::env;
use testkit::postgres::connect;
use testkit::wait::wait_for;

use super::source::owned_database;
use crate::support::{Stage, condition_of, existing, log_in, merge, own, rotation_of, uri};

#[tokio::test]
async fn row_17_a_nonce_rotates_once_and_only_once() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let first = stage.secret("shop").await?;
        let claim = stage.rotate("shop").await?;
        let rotation = rotation_of(&claim).expect("a rotation");
        assert_eq!(rotation.generation, 2);
        assert_eq!(rotation.previous_login.as_ref(), first.get(key::USERNAME));
        let second = stage.secret("shop").await?;
        assert_ne!(first[key::USERNAME], second[key::USERNAME]);
        log_in(&second).await?;
        log_in(&first).await?;
        // The nonce still stands on the claim; neither an edit nor a restart acts on it again.
        controller.kill().await?;
        let _again = env.controller("").await?;
        stage
            .patch("shop", json!({ "spec": { "appId": "till" } }))
            .await?;
        stage.ready("shop").await?;
        assert_eq!(stage.secret("shop").await?, second);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_17_a_period_moves_the_timer_at_once_and_a_pause_stops_it() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        let claim = stage.ready("shop").await?;
        let rotation = rotation_of(&claim).expect("a rotation");
        let wait = |rotation: &api::claim::RotationStatus| {
            let (last, next) = (rotation.last_rotation_at, rotation.next_rotation_at);
            next.zip(last).map(|(next, last)| next.duration_since(last))
        };
        let hour = wait(rotation).expect("an appointment");
        assert!(hour >= SignedDuration::from_mins(60) && hour <= SignedDuration::from_mins(66));
        stage
            .patch(
                "shop",
                json!({ "spec": { "rotation": { "period": "1s" } } }),
            )
            .await?;
        stage
            .claim_when("shop", "three rotations", |claim| {
                rotation_of(claim).is_some_and(|rotation| rotation.generation >= 3)
            })
            .await?;
        stage
            .patch(
                "shop",
                json!({ "spec": { "rotation": { "paused": true } } }),
            )
            .await?;
        stage.condition("shop", Type::Paused, "Paused").await?;
        let paused = stage.ready("shop").await?;
        let rotation = rotation_of(&paused).expect("a rotation").clone();
        assert_eq!(rotation.next_rotation_at, None);
        // A request is no timer: it is acted on, and nothing else has happened since the pause.
        let asked = stage.rotate("shop").await?;
        let after = rotation_of(&asked).expect("a rotation");
        assert_eq!(after.generation, rotation.generation + 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_88_a_config_reload_moves_timers_and_a_bad_one_changes_nothing() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env
            .controller("passwordConfig:\n  passwordRotationPeriod: 24h\n")
            .await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let config = controller.config_path();
        std::fs::write(config, "passwordConfig:\n  passwordRotationPeriod: soon\n")?;
        wait_for("the bad config to be refused", async || {
            Ok(controller
                .log()?
                .contains("config file refused")
                .then_some(()))
        })
        .await?;
        // A credential of three hours: fresh by the period of a day, overdue by that of an hour.
        let old = Timestamp::now() - SignedDuration::from_hours(3);
        let old = Timestamp::from_second(old.as_second())?;
        let age = json!({ "metadata": { "annotations": { annotation::ROTATED_AT: old } } });
        stage.patch_secret("shop", age).await?;
        let claim = stage
            .claim_when("shop", "the age to be recorded", |claim| {
                rotation_of(claim).is_some_and(|rotation| rotation.last_rotation_at == Some(old))
            })
            .await?;
        assert_eq!(
            rotation_of(&claim).map(|rotation| rotation.generation),
            Some(1)
        );
        // 60 minutes, in the unit-less form.
        std::fs::write(config, "passwordConfig:\n  passwordRotationPeriod: 60\n")?;
        stage
            .claim_when("shop", "the rotation that is due now", |claim| {
                rotation_of(claim).is_some_and(|rotation| rotation.generation == 2)
            })
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_12_live_sessions_of_the_idle_login_defer_a_rotation_until_they_end() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        // Only an admin that may read statistics sees the addresses of others' sessions.
        let database = env.create_database("orders").await?;
        let admin = env.postgres().superuser().database(&database);
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let first = stage.secret("shop").await?;
        let session = connect(&uri(&first)).await?;
        stage.rotate("shop").await?;
        let second = stage.secret("shop").await?;
        stage.ask_rotation("shop").await?;
        let waits = stage.condition("shop", Type::Rotating, "Deferred").await?;
        assert!(waits.message.contains("127.0.0.1") || waits.message.contains("::1"));
        assert!(
            waits.message.contains(&first[key::USERNAME]),
            "{}",
            waits.message
        );
        stage.event("shop", "RotationDeferred").await?;
        assert_eq!(stage.secret("shop").await?, second);
        stage.ready("shop").await?;
        session.close().await?;
        stage.nudge("shop").await?;
        let claim = stage
            .claim_when("shop", "the deferred rotation", |claim| {
                rotation_of(claim).is_some_and(|rotation| rotation.generation == 3)
            })
            .await?;
        assert!(condition_of(&claim, Type::Rotating).is_none());
        log_in(&stage.secret("shop").await?).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_12_past_max_overlap_the_sessions_are_ended() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let mut spec = existing(&own("clerk"), &admin);
        merge(&mut spec, json!({ "rotation": { "maxOverlap": "1s" } }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        let mut session = connect(&uri(&stage.secret("shop").await?)).await?;
        stage.rotate("shop").await?;
        stage.ask_rotation("shop").await?;
        stage.event("shop", "RotationDeferred").await?;
        wait_for("the session's end", async || {
            stage.nudge("shop").await?;
            Ok(session.ping().await.is_err().then_some(()))
        })
        .await?;
        stage.event("shop", "SessionsEnded").await?;
        stage
            .claim_when("shop", "the deferred rotation", |claim| {
                rotation_of(claim).is_some_and(|rotation| rotation.generation == 3)
            })
            .await?;
        log_in(&stage.secret("shop").await?).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_12_a_short_overlap_retires_the_previous_login() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let mut spec = existing(&own("clerk"), &admin);
        merge(&mut spec, json!({ "rotation": { "overlap": "1s" } }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        let first = stage.secret("shop").await?;
        stage.rotate("shop").await?;
        let note = stage.event("shop", "LoginRetired").await?;
        assert!(note.contains(&first[key::USERNAME]), "{note}");
        wait_for("the previous login to be refused", async || {
            Ok(log_in(&first).await.is_err().then_some(()))
        })
        .await?;
        log_in(&stage.secret("shop").await?).await?;
        // It takes its turn again.
        stage.rotate("shop").await?;
        let third = stage.secret("shop").await?;
        assert_eq!(third[key::USERNAME], first[key::USERNAME]);
        log_in(&third).await?;
        Ok(())
    })
    .await
}
