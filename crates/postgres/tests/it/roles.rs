//! The role model, from nothing to a login that runs as the owner role.

use anyhow::Result;
use engine::{ErrorClass, catalog::Database, step::ServerStep};

use crate::stage::{Claim, Rank, Stage, everywhere};

/// Names that break whoever forgets to quote. The last ones are as long as the server allows.
fn hostile() -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = [
        ("clerk", "orders"),
        ("Shop-Clerk", "Orders-2"),
        (r#"o'b"rien"#, r#"it's "the" db"#),
        (r"back\slash", r"back\"),
        ("a; DROP ROLE postgres; --", "$$; SELECT 1 --"),
        ("ключ", "数据库 ü"),
        ("user", "select"),
        ("none_", "template"),
        ("%s{role}", "{0} $1 ?"),
    ]
    .map(|(role, database)| (role.to_owned(), database.to_owned()))
    .into();
    names.push(("R".repeat(61), "D".repeat(63)));
    names.push((format!("{}x", "ü".repeat(30)), "ü".repeat(31)));
    names
}

#[tokio::test]
async fn row_11_a_new_claim_logs_in_as_its_owner_role_under_any_name() -> Result<()> {
    everywhere(async |stage| {
        for (role, database) in hostile() {
            let claim = Claim::new(&role, &database)?;
            let mut session = stage.session().await?;
            claim.create(&mut session).await?;

            let catalog = claim.observe(&mut session).await?;
            let owner = &catalog.roles[&role];
            assert_eq!(owner.mark(), Some(claim.mark.clone()));
            assert!(!owner.can_login);
            for login in claim.logins.both() {
                let login = &catalog.roles[login.as_str()];
                assert_eq!(login.member_of, [role.as_str()]);
                assert_eq!(login.session_role.as_deref(), Some(role.as_str()));
                assert_eq!(login.mark(), Some(claim.mark.clone()));
                assert!(!login.can_login);
            }
            let Some(Database { owner, .. }) = &catalog.database else {
                panic!("no database");
            };
            assert_eq!(*owner, role);

            for login in claim.logins.both() {
                let password = claim
                    .set_password(stage.session().await?, login, 17)
                    .await?;
                let dsn = claim.dsn(stage, login, &password);
                postgres::log_in(&dsn, &claim.role, stage.admins.timeouts()).await?;
            }
            let catalog = claim.observe(&mut session).await?;
            let mark = catalog.roles[claim.logins.a.as_str()].mark();
            assert_eq!(mark, Some(claim.mark.clone().attempt("8")));
        }
        assert_eq!(stage.memberships_of_admin().await?, "0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_database_of_a_claim_is_closed_to_strangers_and_open_to_the_admin() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        claim.create(&mut stage.session().await?).await?;
        let stranger = stage.server.create_login("stranger", "").await?;
        let refused = testkit::postgres::connect(&stranger.database("orders").url()).await;
        assert!(refused.is_err());
        let mut inside = stage.session_in(&claim.database).await?;
        inside.observe_contents(&claim.role, &[], &[]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_observation_is_one_statement_and_survives_an_empty_server() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    let mut session = stage.session().await?;
    let login = &stage.admin.credential.login;
    let before = stage.statements_of(login)?;
    let catalog = claim.observe(&mut session).await?;
    assert_eq!(stage.statements_of(login)? - before, 1);
    assert!(catalog.roles.is_empty() && catalog.database.is_none() && catalog.sessions.is_empty());
    assert_eq!(catalog.version / 10_000, stage.server.major());
    assert_eq!(catalog.admin.name, login.as_str());
    assert!(!catalog.admin.is_superuser && !catalog.has_rds_replication);
    assert!(catalog.admin.can_create_roles && catalog.admin.can_create_databases);
    Ok(())
}

#[tokio::test]
async fn creating_what_exists_meanwhile_is_a_conflict_that_changes_nothing() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    let mut session = stage.session().await?;
    let catalog = claim.observe(&mut session).await?;
    stage.run("postgres", "CREATE ROLE clerk_b").await?;
    let err = session
        .apply(&claim.creation(), &catalog)
        .await
        .unwrap_err();
    assert_eq!(err.class(), ErrorClass::Conflict, "{err}");
    assert!(err.to_string().contains("creating login clerk_b"), "{err}");
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname IN ('clerk', 'clerk_a')";
    assert_eq!(stage.ask("postgres", roles).await?, "0");
    Ok(())
}

#[tokio::test]
async fn row_30_a_renamed_owner_role_keeps_its_logins_working() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        let login = &claim.logins.a;
        let password = claim
            .set_password(stage.session().await?, login, 17)
            .await?;
        let renamed = Claim::new("Clerk 2", "orders")?;
        let catalog = claim.observe(&mut session).await?;
        let rename = ServerStep::RenameOwner {
            from: claim.role.clone(),
            to: renamed.role.clone(),
        };
        session.apply(&[rename], &catalog).await?;
        let dsn = claim.dsn(stage, login, &password);
        postgres::log_in(&dsn, &renamed.role, stage.admins.timeouts()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_31_replication_is_allowed_by_attribute_where_the_admin_may() -> Result<()> {
    let stage = Stage::new(Rank::Superuser).await?;
    let claim = Claim::new("clerk", "orders")?;
    let mut session = stage.session().await?;
    claim.create(&mut session).await?;
    let login = claim.logins.a.clone();
    let through_rds = false;
    for (step, want) in [
        (
            ServerStep::AllowReplication {
                login: login.clone(),
                through_rds,
            },
            true,
        ),
        (
            ServerStep::RevokeReplication {
                login: login.clone(),
                through_rds,
            },
            false,
        ),
    ] {
        let catalog = claim.observe(&mut session).await?;
        session.apply(&[step], &catalog).await?;
        let catalog = claim.observe(&mut session).await?;
        assert_eq!(catalog.roles[login.as_str()].has_replication, want);
    }
    Ok(())
}
