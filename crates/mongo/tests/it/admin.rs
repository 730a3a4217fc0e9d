//! The admin: what its role lets it do, and what becomes of its sessions when it changes.

use anyhow::{Context, Result};
use engine::{ErrorClass, dsn::Credential};
use mongo::{Admins, Kind};
use mongodb::{Client, bson::doc};

use testkit::mongod::{Shape, client, run};

use crate::stage::{ADMIN, ADMIN_PASSWORD, Claim, PATIENT, Stage, make_admin_user};

fn as_admin(stage: &Stage) -> Result<Client> {
    let login = (ADMIN, ADMIN_PASSWORD, "admin");
    client(stage.servers.ports(), stage.servers.set_name(), Some(login))
}

/// Check B 12. That everything else works with this role is shown by all the other tests.
#[tokio::test]
async fn the_admin_can_do_nothing_beyond_the_logins_of_claims() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    let admin = as_admin(&stage)?;
    let root = doc! { "role": "root", "db": "admin" };
    for (database, command) in [
        ("admin", doc! { "updateUser": "root", "pwd": "mine" }),
        (
            "admin",
            doc! { "grantRolesToUser": ADMIN, "roles": [&root] },
        ),
        (
            "admin",
            doc! { "createUser": "another", "pwd": "x", "roles": [] },
        ),
        (
            "dbclaims",
            doc! { "createUser": "another", "pwd": "x", "roles": [&root] },
        ),
        ("dbclaims", doc! { "usersInfo": { "forAllDBs": true } }),
        ("orders", doc! { "find": "t" }),
        ("elsewhere", doc! { "dropDatabase": 1 }),
    ] {
        let refused = run(&admin, database, command.clone()).await;
        let err = refused
            .err()
            .with_context(|| format!("allowed: {command}"))?;
        assert!(format!("{err:#}").contains("(Unauthorized)"), "{err:#}");
    }
    let claim = Claim::new("clerk").also_on("elsewhere").adopting();
    let mut session = stage.locked(&claim).await?;
    let err = claim.provision(&mut session).await.unwrap_err();
    let err = err.downcast::<mongo::Error>()?;
    assert_eq!(err.class(), ErrorClass::Forbidden);
    assert!(
        err.to_string().contains("granting elsewhere.readWrite"),
        "{err}"
    );
    Ok(())
}

/// Check B 13: 18 and 13 on our own connections, without a restart.
#[tokio::test]
async fn a_changed_admin_is_recovered_from() -> Result<()> {
    let stage = Stage::new(Shape::Set(1)).await?;
    let claim = Claim::new("clerk");
    drop(stage.locked(&claim).await?);

    run(
        &stage.root,
        "admin",
        doc! { "updateUser": ADMIN, "pwd": "another" },
    )
    .await?;
    let fresh = Admins::new(PATIENT, 2);
    let err = fresh
        .acquire(&stage.admin)
        .await
        .err()
        .context("it logged in")?;
    assert!(err.is_refused_login(), "{err}");
    assert_eq!(err.class(), ErrorClass::Forbidden);
    let mut changed = stage.admin.clone();
    changed.credential = Credential {
        login: changed.credential.login,
        password: "another".into(),
    };
    stage.admins.acquire(&changed).await?;
    fresh.acquire(&changed).await?;

    // Dropped and made again: connections stay open, logged out.
    let back = doc! { "updateUser": ADMIN, "pwd": ADMIN_PASSWORD };
    run(&stage.root, "admin", back).await?;
    let mut held = stage.session().await?;
    run(&stage.root, "admin", doc! { "dropUser": ADMIN }).await?;
    let err = held.observe(&claim.question()).await.unwrap_err();
    assert_eq!(err.kind, Kind::LoggedOut);
    make_admin_user(&stage.root).await?;
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    Ok(())
}

#[tokio::test]
async fn sessions_of_a_server_are_bounded() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    let mut timeouts = PATIENT;
    timeouts.connect = std::time::Duration::from_secs(3);
    let admins = Admins::new(timeouts, 1);
    let first = admins.acquire(&stage.admin).await?;
    let err = admins
        .acquire(&stage.admin)
        .await
        .err()
        .context("two sessions")?;
    assert_eq!(err.kind, Kind::Exhausted);
    drop(first);
    admins.acquire(&stage.admin).await?;
    Ok(())
}

/// Check B 7: a server that takes connections and says nothing.
#[tokio::test]
async fn a_silent_server_is_given_up() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    let mut timeouts = PATIENT;
    timeouts.connect = std::time::Duration::from_secs(2);
    timeouts.statement = std::time::Duration::from_secs(2);
    let admins = Admins::new(timeouts, 2);
    let claim = Claim::new("clerk");
    let mut held = admins.acquire(&stage.admin).await?;
    let member = stage.servers.members.first().context("no member")?;
    member.pause().await?;
    let silent = held.observe(&claim.question()).await;
    let fresh = Admins::new(timeouts, 2).acquire(&stage.admin).await;
    member.process.resume()?;
    for err in [silent.map(drop).unwrap_err(), fresh.map(drop).unwrap_err()] {
        assert_eq!(err.class(), ErrorClass::Unavailable, "{err}");
    }
    Ok(())
}
