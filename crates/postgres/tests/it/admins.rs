//! Sessions of admins: kept, bounded, and given up when something is wrong with them.

use std::time::Duration;

use anyhow::Result;
use engine::{ErrorClass, address::Endpoint, dsn::Dsn, names::RoleName, step::ServerStep};
use postgres::{Admins, Kind, Timeouts};
use testkit::fault_proxy::{Fault, FaultProxy};

use crate::stage::{Claim, Rank, Stage, address};

const SHORT: Timeouts = Timeouts {
    connect: Duration::from_millis(500),
    lock: Duration::from_millis(200),
    statement: Duration::from_millis(500),
};

fn connections(stage: &Stage) -> Result<usize> {
    let login = &stage.admin.credential.login;
    let connected = format!("connection authorized: user={login} ");
    Ok(stage.server.log()?.matches(&connected).count())
}

#[tokio::test]
async fn a_session_is_used_again_unless_something_went_wrong_in_it() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    for _ in 0..3 {
        claim.observe(&mut stage.session().await?).await?;
    }
    assert_eq!(connections(&stage)?, 1);

    let mut session = stage.session().await?;
    let catalog = claim.observe(&mut session).await?;
    let retire = ServerStep::Retire {
        login: claim.logins.a.clone(),
    };
    let err = session.apply(&[retire], &catalog).await.unwrap_err();
    assert_eq!(err.class(), ErrorClass::Conflict, "{err}");
    drop(session);
    claim.observe(&mut stage.session().await?).await?;
    assert_eq!(connections(&stage)?, 2);
    Ok(())
}

#[tokio::test]
async fn sessions_of_one_server_are_bounded_whatever_their_databases() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let admins = Admins::new(SHORT, 1);
    let held = admins.acquire(&stage.admin).await?;
    let err = admins.acquire(&stage.admin).await.err().unwrap();
    assert_eq!(
        (err.class(), err.kind),
        (ErrorClass::Unavailable, Kind::Exhausted)
    );
    drop(held);
    let database = engine::names::DatabaseName::try_from("template1")?;
    let other = Dsn {
        database,
        ..stage.admin.clone()
    };
    drop(admins.acquire(&other).await?);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'db-controller'";
    testkit::wait::wait_for("one connection", async || {
        Ok(stage.ask("postgres", open).await?).map(|count| (count == "1").then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_restarted_server_is_found_again_at_once() -> Result<()> {
    let mut stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    claim.observe(&mut stage.session().await?).await?;
    stage.server.restart().await?;
    claim.observe(&mut stage.session().await?).await?;
    Ok(())
}

#[tokio::test]
async fn row_82_a_server_that_never_answers_costs_one_timeout() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let proxy = FaultProxy::start(([127, 0, 0, 1], stage.server.port())).await?;
    let admins = Admins::new(SHORT, 4);
    let behind = Dsn {
        address: address(proxy.port()),
        ..stage.admin.clone()
    };
    let claim = Claim::new("clerk", "orders")?;
    let mut session = admins.acquire(&behind).await?;
    claim.observe(&mut session).await?;

    proxy.set(Fault::BlackHole);
    let err = session.observe(&claim.question()).await.unwrap_err();
    assert_eq!(err.class(), ErrorClass::Unavailable);
    assert!(matches!(err.kind, Kind::TimedOut(_)), "{err}");
    let err = admins.acquire(&behind).await.err().unwrap();
    assert!(
        matches!(err.kind, Kind::TimedOut(limit) if limit == SHORT.connect),
        "{err}"
    );
    proxy.set(Fault::None);
    let mut session = admins.acquire(&behind).await?;
    claim.observe(&mut session).await?;
    Ok(())
}

#[tokio::test]
async fn the_first_host_that_answers_is_taken() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let proxy = FaultProxy::start(([127, 0, 0, 1], stage.server.port())).await?;
    proxy.set(Fault::Refuse);
    let mut both = address(proxy.port());
    both.others.push(Endpoint {
        host: "::1".to_owned(),
        port: stage.server.port(),
    });
    let dsn = Dsn {
        address: both,
        ..stage.admin.clone()
    };
    let mut session = stage.admins.acquire(&dsn).await?;
    Claim::new("clerk", "orders")?.observe(&mut session).await?;
    Ok(())
}

#[tokio::test]
async fn a_standby_is_passed_over_for_a_host_that_takes_writes() -> Result<()> {
    let mut standby = Stage::new(Rank::Owner).await?;
    let primary = Stage::new(Rank::Owner).await?;
    for stage in [&standby, &primary] {
        let same = "CREATE ROLE same LOGIN CREATEROLE PASSWORD 'same on both'";
        stage.run("postgres", same).await?;
    }
    standby.server.stop().await?;
    let folder = standby.server.log_path().parent().unwrap().to_owned();
    std::fs::write(folder.join("data/standby.signal"), "")?;
    standby.server.start_again().await?;

    let mut dsn = standby.admin.clone();
    dsn.credential.login = engine::names::Login::try_from("same")?;
    dsn.credential.password = "same on both".to_owned().into();
    let err = log_in_both(&dsn, &standby).await.unwrap_err();
    assert_eq!(err.kind, Kind::NoPrimary);
    log_in_both(&dsn, &primary).await?;

    // A client that tries the standby first must be let in there too.
    let same = RoleName::try_from("same")?;
    dsn.address.others = vec![primary.admin.address.primary.clone()];
    let timeouts = Timeouts {
        statement: Duration::from_millis(1),
        ..Timeouts::default()
    };
    postgres::log_in(&dsn, &same, timeouts).await?;
    let changed = "ALTER ROLE same PASSWORD 'changed on the primary'";
    primary.run("postgres", changed).await?;
    dsn.credential.password = "changed on the primary".to_owned().into();
    let err = postgres::log_in(&dsn, &same, timeouts).await.unwrap_err();
    assert!(matches!(err.kind, Kind::Lagging(_)), "{err}");
    Ok(())
}

/// Connects to the DSN's own host, then to `second`.
async fn log_in_both(dsn: &Dsn, second: &Stage) -> Result<(), postgres::Error> {
    let mut dsn = dsn.clone();
    dsn.address.others = vec![second.admin.address.primary.clone()];
    Admins::new(Timeouts::default(), 1)
        .acquire(&dsn)
        .await
        .map(drop)
}

#[tokio::test]
async fn row_76_errors_name_server_and_login_and_no_secret() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let mut wrong = stage.admin.clone();
    let password = "canary-0f3a".to_owned();
    wrong.credential.password = password.clone().into();
    let err = stage.admins.acquire(&wrong).await.err().unwrap();
    assert!(err.is_refused_login());
    assert_eq!(err.class(), ErrorClass::Forbidden);
    let text = format!("{err} {err:?}");
    assert!(
        text.contains(&format!("127.0.0.1:{}", stage.server.port())),
        "{text}"
    );
    assert!(
        text.contains(stage.admin.credential.login.as_str()),
        "{text}"
    );
    assert!(!text.contains(&password));

    let weak = stage.server.create_login("weak", "").await?;
    let mut dsn = stage.admin.clone();
    dsn.credential.login = engine::names::Login::try_from("weak")?;
    dsn.credential.password = weak.password().clone();
    let claim = Claim::new("clerk", "orders")?;
    let mut session = stage.admins.acquire(&dsn).await?;
    let catalog = claim.observe(&mut session).await?;
    let err = session
        .apply(&claim.creation(), &catalog)
        .await
        .unwrap_err();
    assert_eq!(err.class(), ErrorClass::Forbidden);
    assert!(
        err.to_string().contains("creating owner role clerk"),
        "{err}"
    );
    assert!(!err.to_string().contains("CREATE ROLE clerk"), "{err}");
    Ok(())
}
