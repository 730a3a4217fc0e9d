//! A replica set of which members are away or behind.

use std::time::Duration;

use anyhow::{Context, Result};
use engine::ErrorClass;
use mongo::{Admins, Timeouts};
use mongodb::bson::doc;
use secrecy::ExposeSecret;
use testkit::mongod::{Member, Shape, client, run};
use testkit::wait::wait_for;

use crate::stage::{Claim, Stage, password};

/// Short enough for a test that waits for what never comes.
const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    lock: Duration::from_secs(3),
    statement: Duration::from_secs(3),
};

/// Without a majority nothing is confirmed, so nothing would be published.
#[tokio::test]
async fn without_a_majority_a_password_is_not_confirmed() -> Result<()> {
    let stage = Stage::new(Shape::Set(3)).await?;
    let claim = Claim::new("clerk");
    let login = claim.logins().a;
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let before = claim.set(&stage, &mut session, &login).await?;
    session.unlock().await?;

    let admins = Admins::new(SHORT, 4);
    let mut session = admins
        .acquire(&stage.admin)
        .await?
        .lock(claim.key())
        .await?;
    let catalog = session.observe(&claim.question()).await?;
    let seen = catalog
        .roles
        .get(login.as_str())
        .context("no login")?
        .comment
        .clone();
    let (_, others) = stage.servers.by_role().await?;
    for member in &others {
        member.pause().await?;
    }
    let newer = password();
    let outcome = session
        .set_password(&login, &newer, &claim.mark(), seen.as_deref())
        .await;
    for member in &others {
        member.process.resume()?;
    }
    let err = outcome.unwrap_err();
    assert_eq!(err.class(), ErrorClass::Unavailable, "{err}");
    drop(session);

    // Whatever became of it: the next pass sets another one, and proves it on all members.
    wait_for("a rotation", async || {
        let mut session = stage.locked(&claim).await?;
        let catalog = session.observe(&claim.question()).await?;
        let seen = catalog
            .roles
            .get(login.as_str())
            .context("no login")?
            .comment
            .clone();
        let mark = claim.mark().attempt("9");
        session
            .set_password(&login, &newer, &mark, seen.as_deref())
            .await?;
        stage.logs_in(&login, &newer).await?;
        Ok(Some(()))
    })
    .await?;
    for member in &stage.servers.members {
        logs_in_at(member, login.as_str(), newer.expose_secret()).await?;
        assert!(
            logs_in_at(member, login.as_str(), before.expose_secret())
                .await
                .is_err()
        );
    }
    Ok(())
}

/// Check B 6.
#[tokio::test]
async fn a_member_that_sleeps_is_passed_over_and_takes_the_password_when_it_wakes() -> Result<()> {
    let stage = Stage::new(Shape::Set(3)).await?;
    let claim = Claim::new("clerk");
    let login = claim.logins().a;
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let (_, others) = stage.servers.by_role().await?;
    let sleeper = others.first().context("no secondary")?;
    sleeper.pause().await?;
    let secret = password();
    let outcome = async {
        let catalog = session.observe(&claim.question()).await?;
        let seen = catalog
            .roles
            .get(login.as_str())
            .context("no login")?
            .comment
            .clone();
        session
            .set_password(&login, &secret, &claim.mark(), seen.as_deref())
            .await?;
        anyhow::Ok(mongo::log_in(&stage.dsn(&login, &secret), SHORT).await?)
    };
    let outcome = outcome.await;
    sleeper.process.resume()?;
    outcome?;
    wait_for("the member to catch up", async || {
        logs_in_at(sleeper, login.as_str(), secret.expose_secret()).await?;
        Ok(Some(()))
    })
    .await
}

/// Check B 11: the primary moves while a claim is worked on.
#[tokio::test]
async fn a_primary_that_steps_down_delays_and_breaks_nothing() -> Result<()> {
    let stage = Stage::new(Shape::Set(3)).await?;
    let claim = Claim::new("clerk");
    let login = claim.logins().a;
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let secret = password();
    for _ in 0..3 {
        let step_down = doc! { "replSetStepDown": 5, "force": true };
        let (primary, _) = wait_for("a primary", async || {
            Ok(Some(stage.servers.by_role().await?))
        })
        .await?;
        // The answer may be a closed connection.
        let _ = run(&primary.root()?, "admin", step_down).await;
        wait_for("the password", async || {
            let catalog = session.observe(&claim.question()).await?;
            let seen = catalog
                .roles
                .get(login.as_str())
                .context("no login")?
                .comment
                .clone();
            session
                .set_password(&login, &secret, &claim.mark(), seen.as_deref())
                .await?;
            Ok(Some(()))
        })
        .await?;
        wait_for("a proof", async || {
            stage.logs_in(&login, &secret).await?;
            Ok(Some(()))
        })
        .await?;
        assert_eq!(claim.provision(&mut session).await?, []);
    }
    Ok(())
}

async fn logs_in_at(member: &Member, login: &str, password: &str) -> Result<()> {
    let client = client(
        std::iter::once(member.port),
        None,
        Some((login, password, "dbclaims")),
    )?;
    run(&client, "orders", doc! { "connectionStatus": 1 })
        .await
        .map(drop)
}
