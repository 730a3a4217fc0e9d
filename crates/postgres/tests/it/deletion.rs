//! Taking a claim away again, with all that hangs on it.

use anyhow::Result;
use engine::{ErrorClass, step::ServerStep};
use testkit::postgres::{connect, execute};

use crate::stage::{Claim, Rank, Stage, everywhere};

fn dropping_logins(claim: &Claim) -> Vec<ServerStep> {
    let drop = |login: &engine::names::Login| ServerStep::DropLogin {
        login: login.clone(),
        role: claim.role.clone(),
    };
    claim.logins.both().map(drop).into()
}

#[tokio::test]
async fn row_44_a_deleted_claim_leaves_no_role_no_database_and_no_session() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("Shop-Clerk", "it's orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        let login = &claim.logins.a;
        let password = claim.set_password(stage.session().await?, login, 17).await?;
        let dsn = stage.server.dsn(login.as_str(), password.clone());
        let url = dsn.database(claim.database.as_str()).url();
        // What an application leaves behind, in its own name too.
        execute(
            &url,
            "CREATE SCHEMA app; CREATE TABLE app.t (id int);
             RESET ROLE; SET ROLE NONE; CREATE SCHEMA IF NOT EXISTS own; CREATE TABLE own.t (id int);
             ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        )
        .await?;
        let mut application = connect(&url).await?;
        // A session of the admin's own in the database.
        drop(stage.session_in(&claim.database).await?);

        let catalog = claim.observe(&mut session).await?;
        let mut steps = dropping_logins(&claim);
        steps.push(ServerStep::DropDatabase {
            database: claim.database.clone(),
        });
        steps.push(ServerStep::DropOwner {
            role: claim.role.clone(),
        });
        let mut inside = stage.session_in(&claim.database).await?;
        inside.reassign_owned(login, &claim.role, &catalog).await?;
        drop(inside);
        session.apply(&steps, &catalog).await?;
        assert!(sqlx::raw_sql("SELECT 1").execute(&mut application).await.is_err());
        let catalog = claim.observe(&mut session).await?;
        assert!(catalog.roles.is_empty(), "{:?}", catalog.roles);
        assert_eq!((catalog.database, catalog.sessions.len()), (None, 0));
        assert_eq!(stage.memberships_of_admin().await?, "0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_owner_role_with_objects_elsewhere_stays_and_says_so() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    let mut session = stage.session().await?;
    claim.create(&mut session).await?;
    let orphan = "CREATE TABLE orphan (); ALTER TABLE orphan OWNER TO clerk";
    stage.run("postgres", orphan).await?;
    let catalog = claim.observe(&mut session).await?;
    let mut steps = dropping_logins(&claim);
    steps.push(ServerStep::DropDatabase {
        database: claim.database.clone(),
    });
    session.apply(&steps, &catalog).await?;
    let drop = ServerStep::DropOwner {
        role: claim.role.clone(),
    };
    let err = session.apply(&[drop], &catalog).await.unwrap_err();
    assert_eq!(err.class(), ErrorClass::Blocked);
    assert!(
        err.to_string().contains("owner of table public.orphan"),
        "{err}"
    );
    Ok(())
}

#[tokio::test]
async fn dropping_twice_does_no_harm() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    let mut session = stage.session().await?;
    claim.create(&mut session).await?;
    let mut steps = dropping_logins(&claim);
    steps.push(ServerStep::DropDatabase {
        database: claim.database.clone(),
    });
    steps.push(ServerStep::DropOwner {
        role: claim.role.clone(),
    });
    for _ in 0..2 {
        let catalog = claim.observe(&mut session).await?;
        session.apply(&steps, &catalog).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_adopted_database_gets_back_what_the_owner_role_made_in_it() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        let mut session = stage.session().await?;
        let catalog = claim.observe(&mut session).await?;
        let mut steps = claim.creation();
        steps.retain(|step| !matches!(step, ServerStep::OwnDatabase { .. }));
        session.apply(&steps, &catalog).await?;
        let made = "GRANT CREATE ON DATABASE orders TO clerk; SET ROLE clerk; CREATE SCHEMA app;
             CREATE TABLE app.t (id serial); CREATE FUNCTION app.f() RETURNS int LANGUAGE sql
             AS 'SELECT 1'; GRANT SELECT ON app.t TO PUBLIC";
        stage.run("orders", made).await?;

        let mut inside = stage.session_in(&claim.database).await?;
        let catalog = claim.observe(&mut inside).await?;
        let admin = stage.admin.credential.login.to_string();
        let mut steps = dropping_logins(&claim);
        steps.push(ServerStep::HandOver {
            role: claim.role.clone(),
            to: admin.clone(),
        });
        steps.push(ServerStep::DropOwner {
            role: claim.role.clone(),
        });
        inside.apply(&steps, &catalog).await?;
        let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 't'";
        assert_eq!(stage.ask("orders", owner).await?, admin);
        assert!(claim.observe(&mut inside).await?.roles.is_empty());
        assert_eq!(stage.memberships_of_admin().await?, "0");
        Ok(())
    })
    .await
}
