//! Bounds and powers of roles: how many sessions a login may have, and the power of a cloud's
//! superuser.

use anyhow::{Context, Result};
use engine::{ErrorClass, mark::Mark, names::Login, step::ServerStep};
use postgres::{Admins, Kind, Timeouts};
use testkit::postgres::connect;

use crate::stage::{Claim, Rank, Stage, everywhere};

fn limit(login: &Login, limit: Option<i32>, mark: &Mark) -> ServerStep {
    ServerStep::LimitConnections {
        login: login.clone(),
        limit,
        mark: mark.clone().limited(limit.is_some()),
    }
}

#[tokio::test]
async fn a_full_login_is_told_from_a_wrong_password_and_from_a_full_server() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        let login = &claim.logins.a;
        let password = claim
            .set_password(stage.session().await?, login, 17)
            .await?;
        let catalog = claim.observe(&mut session).await?;
        assert_eq!(catalog.roles[login.as_str()].connection_limit, None);
        let step = limit(login, Some(1), &claim.mark);
        session.apply(&[step], &catalog).await?;
        let catalog = claim.observe(&mut session).await?;
        let found = &catalog.roles[login.as_str()];
        assert_eq!(found.connection_limit, Some(1));
        assert!(found.mark().context("a mark")?.limited);
        let other = &catalog.roles[claim.logins.b.as_str()];
        assert_eq!(other.connection_limit, None);

        let dsn = claim.dsn(stage, login, &password);
        let prove = async || {
            let proof = postgres::log_in(&dsn, &claim.role, stage.admins.timeouts()).await;
            proof.map_err(|err| err.kind)
        };
        assert_eq!(prove().await, Ok(()));
        let url = stage.server.dsn(login.as_str(), password.clone());
        let url = url.database("orders").url();
        let held = testkit::wait::wait_for("a session of the login", async || {
            Ok(connect(&url).await.ok())
        });
        let held = held.await?;
        assert_eq!(prove().await, Err(Kind::LoginFull));
        assert_eq!(Kind::LoginFull.class(), ErrorClass::Conflict);
        // Only who knows the password hears of it.
        let wrong = testkit::names::random_password();
        assert!(stage.refused(&claim, login, &wrong).await);
        drop(held);

        let catalog = claim.observe(&mut session).await?;
        let step = limit(login, None, &claim.mark);
        session.apply(&[step], &catalog).await?;
        let catalog = claim.observe(&mut session).await?;
        let found = &catalog.roles[login.as_str()];
        assert_eq!(found.connection_limit, None);
        assert!(!found.mark().context("a mark")?.limited);
        Ok(())
    })
    .await
}

/// An admin whose own sessions are all in use finds the server as full as any other.
#[tokio::test]
async fn a_full_admin_is_a_full_server() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let admin = stage.admin.credential.login.clone();
    let bound = format!("ALTER ROLE \"{admin}\" CONNECTION LIMIT 1");
    stage.run("postgres", &bound).await?;
    let held = stage.session().await?;
    let others = Admins::new(Timeouts::default(), 1);
    let err = others.acquire(&stage.admin).await.err().context("let in")?;
    assert_eq!(err.kind, Kind::Exhausted);
    assert_eq!(err.class(), ErrorClass::Unavailable);
    drop(held);
    Ok(())
}

#[tokio::test]
async fn row_32_power_is_given_and_taken_back_by_an_admin_that_has_it() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        let catalog = claim.observe(&mut session).await?;
        assert!(!catalog.has_rds_superuser && !catalog.grants_rds_superuser);
        stage.run("postgres", "CREATE ROLE rds_superuser").await?;
        let (admin, major) = (&stage.admin.credential.login, stage.server.major());
        let catalog = claim.observe(&mut session).await?;
        // Up to 15, CREATEROLE grants every role that is no superuser.
        let is_able = major < 16 || catalog.admin.is_superuser;
        assert!(catalog.has_rds_superuser);
        assert_eq!(catalog.grants_rds_superuser, is_able, "{major}");
        let grant = format!("GRANT rds_superuser TO \"{admin}\" WITH ADMIN OPTION");
        stage.run("postgres", &grant).await?;
        let catalog = claim.observe(&mut session).await?;
        assert!(catalog.grants_rds_superuser);

        let role = claim.role.clone();
        for (step, want) in [
            (ServerStep::Elevate { role: role.clone() }, true),
            (ServerStep::Demote { role }, false),
        ] {
            // Done twice, it leaves the same.
            for _ in 0..2 {
                let catalog = claim.observe(&mut session).await?;
                session.apply(std::slice::from_ref(&step), &catalog).await?;
            }
            let catalog = claim.observe(&mut session).await?;
            let owner = &catalog.roles[claim.role.as_str()];
            assert_eq!(owner.can_create_roles, want);
            let is_member = owner.member_of.iter().any(|name| name == "rds_superuser");
            assert_eq!(is_member, want);
            assert!(!owner.is_superuser);
        }
        Ok(())
    })
    .await
}

/// What elevation means, so that nobody has to guess: on old servers, everything.
#[tokio::test]
async fn row_32_who_had_power_can_keep_some_of_it_by_other_roles() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        stage.run("postgres", "CREATE ROLE rds_superuser").await?;
        let admin = &stage.admin.credential.login;
        let grant = format!("GRANT rds_superuser TO \"{admin}\" WITH ADMIN OPTION");
        stage.run("postgres", &grant).await?;
        let role = claim.role.clone();
        let catalog = claim.observe(&mut session).await?;
        let elevate = ServerStep::Elevate { role: role.clone() };
        session.apply(&[elevate], &catalog).await?;
        let login = &claim.logins.a;
        let password = claim
            .set_password(stage.session().await?, login, 17)
            .await?;
        let url = stage.server.dsn(login.as_str(), password);
        let url = url.database("orders").url();
        testkit::postgres::query(&url, "CREATE ROLE accomplice LOGIN CREATEROLE").await?;
        let others = format!("ALTER ROLE \"{admin}\" VALID UNTIL 'infinity'");
        let reaches_admin = testkit::postgres::query(&url, &others).await.is_ok();
        let is_superuser = catalog.admin.is_superuser;
        assert_eq!(reaches_admin, stage.server.major() < 16 && !is_superuser);
        let catalog = claim.observe(&mut session).await?;
        session
            .apply(&[ServerStep::Demote { role }], &catalog)
            .await?;
        let left = "SELECT rolcreaterole::text FROM pg_roles WHERE rolname = 'accomplice'";
        assert_eq!(stage.ask("postgres", left).await?, "true");
        Ok(())
    })
    .await
}
