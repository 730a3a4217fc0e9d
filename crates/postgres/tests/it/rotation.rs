//! The fence, the password, and the end of a login's turn.

use std::time::{Duration, Instant};

use anyhow::Result;
use engine::{ErrorClass, step::ServerStep};
use postgres::{Admins, Timeouts, Verifier};
use secrecy::ExposeSecret;
use testkit::{names, postgres::connect, wait::wait_for};

use crate::stage::{Claim, Rank, Stage, everywhere};

#[tokio::test]
async fn row_25_no_plaintext_password_reaches_the_server_log() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    claim.create(&mut stage.session().await?).await?;
    let password = claim
        .set_password(stage.session().await?, &claim.logins.a, 17)
        .await?;
    let dsn = claim.dsn(&stage, &claim.logins.a, &password);
    postgres::log_in(&dsn, &claim.role, stage.admins.timeouts()).await?;
    let log = stage.server.log()?;
    assert!(log.contains("SCRAM-SHA-256$4096:"));
    assert!(!log.contains(password.expose_secret()));
    Ok(())
}

#[tokio::test]
async fn a_claims_lock_is_had_by_one_and_freed_by_the_loss_of_its_session() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let timeouts = Timeouts {
        lock: Duration::from_millis(200),
        ..Timeouts::default()
    };
    let admins = Admins::new(timeouts, 4);
    let mut held = admins.acquire(&stage.admin).await?.lock(&[17]).await?;
    let err = admins.acquire(&stage.admin).await?.lock(&[17]).await.err();
    assert_eq!(err.map(|err| err.class()), Some(ErrorClass::Conflict));
    let other = admins.acquire(&stage.admin).await?.lock(&[18]).await?;
    other.unlock().await?;

    Claim::new("clerk", "orders")?.observe(&mut held).await?;
    drop(held);
    // The server notices the closed connection in its own time.
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(err) = admins.acquire(&stage.admin).await?.lock(&[17]).await {
        assert!(Instant::now() < deadline, "{err}");
    }
    Ok(())
}

/// Two sessions that hold locks of the same name in different databases shut nobody out; what was
/// seen on the login does.
#[tokio::test]
async fn a_password_is_set_only_on_what_was_seen() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    claim.create(&mut stage.session().await?).await?;
    let login = &claim.logins.a;
    let password = claim
        .set_password(stage.session().await?, login, 17)
        .await?;
    let dsn = claim.dsn(&stage, login, &password);
    let mut late = stage.session_in(&claim.database).await?.lock(&[17]).await?;
    let verifier = Verifier::of(&names::random_password()).await.unwrap();
    let before = claim.mark.to_string();
    for seen in [Some(before.as_str()), None] {
        let err = late
            .set_password(login, &verifier, &claim.mark, seen)
            .await
            .unwrap_err();
        assert_eq!(err.class(), ErrorClass::Conflict, "{err}");
        postgres::log_in(&dsn, &claim.role, stage.admins.timeouts()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_expiry_set_by_hand_ends_with_the_next_password() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    claim.create(&mut stage.session().await?).await?;
    let login = &claim.logins.a;
    let expire = format!("ALTER ROLE {login} VALID UNTIL '2000-01-01'");
    stage.run("postgres", &expire).await?;
    let password = claim
        .set_password(stage.session().await?, login, 17)
        .await?;
    let dsn = claim.dsn(&stage, login, &password);
    postgres::log_in(&dsn, &claim.role, stage.admins.timeouts()).await?;
    Ok(())
}

#[tokio::test]
async fn a_login_past_its_overlap_loses_its_sessions_and_then_its_password() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("Old-Clerk", "orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        let login = claim.logins.b.clone();
        let password = claim
            .set_password(stage.session().await?, &login, 17)
            .await?;
        let dsn = stage
            .server
            .dsn(login.as_str(), password.clone())
            .database("orders");
        let mut application = connect(&dsn.url()).await?;

        let catalog = claim.observe(&mut session).await?;
        assert_eq!(catalog.sessions.len(), 1);
        assert_eq!(catalog.sessions[0].login, login);
        assert!(catalog.sessions[0].pid > 0);
        let terminate = ServerStep::Terminate {
            login: login.clone(),
        };
        session.apply(&[terminate], &catalog).await?;
        assert!(
            sqlx::raw_sql("SELECT 1")
                .execute(&mut application)
                .await
                .is_err()
        );

        let retire = ServerStep::Retire {
            login: login.clone(),
        };
        session.apply(&[retire], &catalog).await?;
        // The client hears of its end a moment before the server has forgotten the session.
        let catalog = wait_for("the session's end", async || {
            let catalog = claim.observe(&mut session).await?;
            Ok(catalog.sessions.is_empty().then_some(catalog))
        })
        .await?;
        assert!(!catalog.roles[login.as_str()].can_login);
        assert!(stage.refused(&claim, &login, &password).await);
        assert_eq!(stage.memberships_of_admin().await?, "0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_83_creation_and_rotation_take_few_messages_and_connections() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    let admin = &stage.admin.credential.login;
    let mut session = stage.session().await?.lock(&[17]).await?;
    claim.create(&mut session).await?;
    drop(session.unlock().await?);
    // Lock, question, roles, CREATE DATABASE, ownership, unlock.
    assert_eq!(stage.statements_of(admin)?, 6);

    claim
        .set_password(stage.session().await?, &claim.logins.a, 17)
        .await?;
    // Lock, question, password, unlock.
    assert_eq!(stage.statements_of(admin)?, 10);
    let connected = format!("connection authorized: user={admin} ");
    assert_eq!(stage.server.log()?.matches(&connected).count(), 1);
    Ok(())
}
