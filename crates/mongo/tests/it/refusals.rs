//! Refused logins are read in the logs of all members.

use anyhow::{Result, ensure};
use engine::tripwire::Blind;
use mongodb::bson::{Document, doc};
use testkit::{
    assets::documented,
    mongod::{Shape, run},
    wait::wait_for,
};

use crate::stage::{Stage, everywhere, password};

async fn refuse(stage: &Stage, login: &str) -> Result<()> {
    let login = login.try_into()?;
    let outcome = stage.logs_in(&login, &password()).await;
    ensure!(outcome.is_err(), "{login} got in");
    Ok(())
}

/// Lets the admin read logs, as the operations guide says.
async fn allow(stage: &Stage) -> Result<()> {
    let grant = documented("docs/operations.md", "json", "grantPrivilegesToRole")?;
    let grant: Document = serde_json::from_str(&grant)?;
    run(&stage.root, "admin", grant).await.map(drop)
}

#[tokio::test]
async fn refused_logins_are_read_once_and_admitted_ones_never() -> Result<()> {
    everywhere(async |stage| {
        let create = doc! {
            "createUser": "clerk_a", "pwd": "right", "roles": [], "mechanisms": ["SCRAM-SHA-256"],
        };
        run(&stage.root, "dbclaims", create).await?;
        let mut session = stage.session().await?;
        let blind = session.refused_logins(None).await?.unwrap_err();
        assert_eq!(blind, Blind::NoRight);
        allow(stage).await?;

        refuse(stage, "clerk_a").await?;
        let start = session.refused_logins(None).await??;
        assert!(start.attempts.is_empty(), "the past is looked at");
        let login = "clerk_a".try_into()?;
        stage.logs_in(&login, &"right".into()).await?;
        refuse(stage, "clerk_a").await?;
        refuse(stage, "gone\"},{\"user\":\"clerk_b").await?;
        let mut after = start.position;
        let mut all = Vec::new();
        wait_for("both attempts", async || {
            let reading = session.refused_logins(Some(&after)).await??;
            after = reading.position;
            all.extend(reading.attempts);
            let has = |name: &str| all.iter().any(|one| one.login.as_str().starts_with(name));
            Ok((has("clerk_a") && has("gone")).then_some(()))
        })
        .await?;
        for attempt in &all {
            ensure!(
                attempt.database.as_deref() == Some("dbclaims"),
                "{attempt:?}"
            );
            ensure!(
                attempt.address.is_some_and(|it| it.is_loopback()),
                "{attempt:?}"
            );
            ensure!(attempt.login.as_str() != "clerk_b", "{attempt:?}");
        }
        let again = session.refused_logins(Some(&after)).await??;
        assert!(again.attempts.is_empty(), "{again:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_member_of_a_set_has_its_own_log() -> Result<()> {
    let stage = Stage::new(Shape::Set(3)).await?;
    allow(&stage).await?;
    let mut session = stage.session().await?;
    // A member that lags behind does not know yet that the admin may.
    let start = wait_for("each member's log", async || {
        let start = session.refused_logins(None).await??.position;
        ensure!(start.split(' ').count() == 3, "{start}");
        Ok(Some(start))
    })
    .await?;
    for member in &stage.servers.members {
        let login = Some(("clerk_a", "wrong", "dbclaims"));
        let client = testkit::mongod::client(std::iter::once(member.port), None, login)?;
        let outcome = run(&client, "admin", doc! { "ping": 1 }).await;
        ensure!(outcome.is_err(), "it got in");
    }
    let reading = session.refused_logins(Some(&start)).await??;
    ensure!(reading.attempts.len() >= 3, "{reading:?}");
    Ok(())
}
