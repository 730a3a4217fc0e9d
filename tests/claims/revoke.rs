//! A credential that leaked: it ends at once, with the sessions that have it and no others.

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use api::conditions::Type;
use api::names::{annotation, secret_key as key};
use serde_json::json;
use sqlx::postgres::PgConnection;
use testkit::env;
use testkit::postgres::{connect, run_in};
use testkit::prober::Prober;

use super::source::owned_database;
use crate::support::{Stage, Texts, condition_of, existing, log_in, own, rotation_of, uri};

fn generation_of(claim: &DatabaseClaim) -> i64 {
    rotation_of(claim).map_or(0, |rotation| rotation.generation)
}

async fn sessions(secret: &Texts, count: usize) -> Result<Vec<PgConnection>> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(connect(&uri(secret)).await?);
    }
    Ok(all)
}

/// How many of them still answer.
async fn alive(sessions: &mut [PgConnection]) -> usize {
    let mut count = 0;
    for session in sessions {
        count += usize::from(run_in(session, "SELECT 1").await.is_ok());
    }
    count
}

#[tokio::test]
async fn a_leaked_credential_ends_with_its_sessions_and_with_no_others() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let prober = Prober::start(stage.client.clone(), &stage.namespace, "shop");
        let first = stage.secret("shop").await?;
        let mut early = sessions(&first, 7).await?;
        stage.rotate("shop").await?;
        let second = stage.secret("shop").await?;
        let mut leaked = sessions(&second, 3).await?;

        // The published one: replaced, though sessions hold the other login, and nothing else.
        let done = stage.revoke("shop", 2).await?;
        assert_eq!(done.login.as_ref(), second.get(key::USERNAME));
        assert_eq!(done.sessions_ended, 3);
        assert_eq!((alive(&mut leaked).await, alive(&mut early).await), (0, 7));
        for old in [&first, &second] {
            ensure!(log_in(old).await.is_err(), "a former credential works");
        }
        let third = stage.secret("shop").await?;
        assert_eq!(third.get(key::USERNAME), first.get(key::USERNAME));
        log_in(&third).await?;
        let note = stage.event("shop", "Revoked").await?;
        ensure!(note.contains("3 sessions were ended"), "{note}");

        // The one before: nothing is replaced.
        let claim = stage.rotate("shop").await?;
        assert_eq!(generation_of(&claim), 4);
        let fourth = stage.secret("shop").await?;
        let mut newest = sessions(&fourth, 2).await?;
        let done = stage.revoke("shop", 3).await?;
        assert_eq!(done.login.as_ref(), third.get(key::USERNAME));
        assert_eq!(done.sessions_ended, 7);
        assert_eq!((alive(&mut early).await, alive(&mut newest).await), (0, 2));
        ensure!(log_in(&third).await.is_err(), "a former credential works");
        assert_eq!(stage.secret("shop").await?, fourth);
        let claim = stage.get("shop").await?;
        let rotation = rotation_of(&claim).context("a rotation")?;
        assert_eq!((rotation.generation, &rotation.previous_login), (4, &None));

        // The shut login serves again, with another password.
        stage.rotate("shop").await?;
        log_in(&stage.secret("shop").await?).await?;
        let report = prober.stop().await?;
        ensure!(report.failures == 0, "{:?}", report.first_failures);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_revocation_is_done_while_paused_and_a_mistyped_one_is_told() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        for wrong in ["2", "first", "-1"] {
            stage.ask_revocation("shop", wrong).await?;
            let what = format!("{wrong} to be refused");
            let claim = stage
                .claim_when("shop", &what, |claim| {
                    let ignored = condition_of(claim, Type::FieldsIgnored);
                    ignored.is_some_and(|ignored| ignored.message.contains(&format!("{wrong:?}")))
                })
                .await?;
            assert_eq!(generation_of(&claim), 1);
        }
        let pause = json!({ "spec": { "rotation": { "paused": true } } });
        stage.patch("shop", pause).await?;
        stage.ready("shop").await?;
        let leaked = stage.secret("shop").await?;
        let done = stage.revoke("shop", 1).await?;
        assert_eq!(done.sessions_ended, 0);
        ensure!(log_in(&leaked).await.is_err(), "a former credential works");
        log_in(&stage.secret("shop").await?).await?;
        // Done once: another rotation and another look change nothing.
        let claim = stage.rotate("shop").await?;
        assert_eq!(generation_of(&claim), 3);
        let spec = json!({ "spec": { "appId": "till" } });
        stage.patch("shop", spec).await?;
        let claim = stage.ready("shop").await?;
        assert_eq!(generation_of(&claim), 3);
        let ignored = condition_of(&claim, Type::FieldsIgnored);
        ensure!(
            ignored.is_none_or(|ignored| !ignored.message.contains(annotation::REVOKE)),
            "{ignored:?}"
        );
        Ok(())
    })
    .await
}
