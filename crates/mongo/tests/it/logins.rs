//! Logins: their roles, marks and repair.

use anyhow::{Context, Result};
use engine::{ErrorClass, step::ServerStep};
use mongo::Kind;
use mongodb::bson::doc;
use testkit::mongod::{Options, Servers, Shape, run};
use testkit::wait::wait_for;

use crate::stage::{Claim, Stage, everywhere, name, password, roles};

/// Check B 1 and 2.
#[tokio::test]
async fn two_databases_have_exactly_their_roles_and_a_second_pass_writes_nothing() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk").also_on("profiles");
        let login = claim.logins().a;
        let mut session = stage.locked(&claim).await?;
        claim.provision(&mut session).await?;
        let password = claim.set(stage, &mut session, &login).await?;
        for login in claim.logins().both() {
            let user = stage.user(login).await?.context("no login")?;
            assert_eq!(roles(&user)?, ["orders.readWrite", "profiles.readWrite"]);
            let data = user.get_document("customData")?;
            assert_eq!(data.get_str("managedBy")?, "db-controller");
            assert_eq!(data.get_str("claim")?, "shop/clerk");
            assert_eq!(
                data.get_str("slot")?,
                &login.as_str()[login.as_str().len() - 1..]
            );
            let mechanisms = user.get_document("credentials")?.keys();
            assert_eq!(mechanisms.collect::<Vec<_>>(), ["SCRAM-SHA-256"]);
        }
        let application = stage.client_of(&login, &password)?;
        for database in ["orders", "profiles"] {
            let insert = doc! { "insert": "t", "documents": [{ "_id": 1 }] };
            run(&application, database, insert).await?;
        }
        let elsewhere = run(&application, "image", doc! { "find": "t" }).await;
        assert!(elsewhere.is_err());
        let before = stage.user(&login).await?;
        for _ in 0..10 {
            assert_eq!(claim.provision(&mut session).await?, []);
        }
        assert_eq!(stage.user(&login).await?, before);
        Ok(())
    })
    .await
}

/// Check B 8.
#[tokio::test]
async fn a_login_without_a_mark_is_left_alone_unless_the_claim_adopts() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    let claim = Claim::new("clerk");
    let theirs = doc! {
        "createUser": "clerk_a", "pwd": "theirs", "roles": [{ "role": "read", "db": "image" }],
    };
    run(&stage.root, "dbclaims", theirs).await?;
    let before = stage.user(&claim.logins().a).await?;
    let mut session = stage.locked(&claim).await?;
    let refusal = claim.provision(&mut session).await.unwrap_err();
    assert!(refusal.to_string().contains("clerk_a exists"), "{refusal}");
    assert_eq!(stage.user(&claim.logins().a).await?, before);
    let claim = claim.adopting();
    claim.provision(&mut session).await?;
    let user = stage.user(&claim.logins().a).await?.context("no login")?;
    assert_eq!(roles(&user)?, ["orders.readWrite"]);
    assert_eq!(
        user.get_document("customData")?.get_str("claim")?,
        "shop/clerk"
    );
    assert_eq!(claim.provision(&mut session).await?, []);
    Ok(())
}

/// Check B 9.
#[tokio::test]
async fn what_was_changed_by_hand_is_repaired_in_one_pass() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk");
        let login = claim.logins().b;
        let mut session = stage.locked(&claim).await?;
        claim.provision(&mut session).await?;
        let secret = claim.set(stage, &mut session, &login).await?;

        let grant = doc! {
            "grantRolesToUser": "clerk_b", "roles": [{ "role": "read", "db": "image" }],
        };
        run(&stage.root, "dbclaims", grant).await?;
        let revoke = doc! {
            "revokeRolesFromUser": "clerk_a", "roles": [{ "role": "readWrite", "db": "orders" }],
        };
        run(&stage.root, "dbclaims", revoke).await?;
        let unmark = doc! { "updateUser": "clerk_b", "customData": { "managedBy": "db-controller",
        "claim": "shop/clerk", "uid": "an-earlier-life", "rev": "7" } };
        run(&stage.root, "dbclaims", unmark).await?;
        let steps = claim.provision(&mut session).await?;
        assert_eq!(steps.len(), 3, "{steps:?}");
        for login in claim.logins().both() {
            let user = stage.user(login).await?.context("no login")?;
            assert_eq!(roles(&user)?, ["orders.readWrite"]);
        }
        stage.logs_in(&login, &secret).await?;
        assert_eq!(claim.provision(&mut session).await?, []);

        let update = doc! { "updateUser": "clerk_b", "pwd": "changed by hand" };
        run(&stage.root, "dbclaims", update).await?;
        let err = mongo::log_in(&stage.dsn(&login, &secret), stage.admins.timeouts()).await;
        assert_eq!(err.unwrap_err().kind, Kind::RefusedLogin);
        restore(stage, &claim, &mut session, &secret).await?;

        run(&stage.root, "dbclaims", doc! { "dropUser": "clerk_b" }).await?;
        let steps = claim.provision(&mut session).await?;
        assert!(matches!(
            steps.first(),
            Some(ServerStep::CreateLogin { .. })
        ));
        restore(stage, &claim, &mut session, &secret).await
    })
    .await
}

/// Sets the published password again, as the controller does with what the Secret holds.
async fn restore(
    stage: &Stage,
    claim: &Claim,
    session: &mut mongo::Locked,
    secret: &secrecy::SecretString,
) -> Result<()> {
    let login = claim.logins().b;
    let catalog = session.observe(&claim.question()).await?;
    let seen = catalog.roles.get(login.as_str()).context("no login")?;
    session
        .set_password(&login, secret, &claim.mark(), seen.comment.as_deref())
        .await?;
    stage.logs_in(&login, secret).await
}

/// Check B 10.
#[tokio::test]
async fn a_role_that_does_not_exist_is_said() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    let claim = Claim::new("clerk").with_role("auditor", "orders");
    let mut session = stage.locked(&claim).await?;
    let err = claim.provision(&mut session).await.unwrap_err();
    let err = err.downcast::<mongo::Error>()?;
    assert_eq!(err.kind, Kind::NoRole);
    assert_eq!(err.class(), ErrorClass::Blocked);
    assert!(err.to_string().contains("orders.auditor"), "{err}");
    let role = doc! { "createRole": "auditor", "privileges": [], "roles": ["read"] };
    run(&stage.root, "orders", role).await?;
    claim.provision(&mut session).await?;
    assert_eq!(claim.provision(&mut session).await?, []);
    Ok(())
}

/// Check B 17.
#[tokio::test]
async fn a_given_password_of_any_characters_logs_in_through_the_uri() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk");
        let login = claim.logins().a;
        let mut session = stage.locked(&claim).await?;
        claim.provision(&mut session).await?;
        let given = ":/?#[]@ %+ü€".into();
        claim.set_to(&mut session, &login, &given).await?;
        stage.logs_in(&login, &given).await
    })
    .await
}

#[tokio::test]
async fn a_database_of_somebody_else_is_refused_and_a_reserved_one_is_not() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    let insert = doc! { "insert": "t", "documents": [{ "_id": 1 }] };
    run(&stage.root, "image", insert).await?;
    let claim = Claim::new("clerk").also_on("image");
    let mut session = stage.locked(&claim).await?;
    let refusal = claim.provision(&mut session).await.unwrap_err();
    assert!(refusal.to_string().contains("image exists"), "{refusal}");
    claim.clone().adopting().provision(&mut session).await?;

    let first = Claim::new("seller");
    let mut session = stage.locked(&first).await?;
    first.provision(&mut session).await?;
    let second = Claim::new("buyer");
    let mut session = stage.locked(&second).await?;
    let refusal = second.provision(&mut session).await.unwrap_err();
    assert!(
        refusal.to_string().contains("claim shop/seller"),
        "{refusal}"
    );
    Ok(())
}

/// Section 1.3, step 2: each member reports only its own connections.
#[tokio::test]
async fn connections_of_a_login_are_seen_on_every_member_until_they_close() -> Result<()> {
    let stage = Stage::new(Shape::Set(3)).await?;
    let claim = Claim::new("clerk");
    let login = claim.logins().a;
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let secret = claim.set(&stage, &mut session, &login).await?;
    let catalog = session.observe(&claim.question()).await?;
    assert_eq!(catalog.sessions, []);
    let mut clients = Vec::new();
    for member in &stage.servers.members {
        let mut dsn = stage.dsn(&login, &secret);
        dsn.address.others.clear();
        dsn.address.primary.port = member.port;
        let own = (
            login.as_str(),
            secrecy::ExposeSecret::expose_secret(&secret),
            "dbclaims",
        );
        let client = testkit::mongod::client(std::iter::once(member.port), None, Some(own))?;
        run(&client, "orders", doc! { "connectionStatus": 1 }).await?;
        clients.push(client);
    }
    let catalog = session.observe(&claim.question()).await?;
    assert_eq!(catalog.sessions.len(), 3, "{:?}", catalog.sessions);
    assert!(
        catalog
            .sessions
            .iter()
            .all(|session| session.login == login)
    );
    let client = catalog
        .sessions
        .first()
        .and_then(|session| session.client.clone());
    assert_eq!(client.as_deref(), Some("127.0.0.1"));
    for client in clients {
        client.shutdown().immediate(true).await;
    }
    wait_for("no connections", async || {
        let catalog = session.observe(&claim.question()).await?;
        Ok(catalog.sessions.is_empty().then_some(()))
    })
    .await
}

/// Check B 16, and section 1.7: what stands in `admin` and without our mark is not touched by anything here.
#[tokio::test]
async fn an_end_removes_what_is_the_claims_and_nothing_else() -> Result<()> {
    everywhere(async |stage| {
        let insert = || doc! { "insert": "t", "documents": [{ "_id": 1 }] };
        let neighbour = Claim::new("seller").adopting();
        let mut session = stage.locked(&neighbour).await?;
        neighbour.provision(&mut session).await?;
        run(&stage.root, "desktop", insert()).await?;
        let before = stage.everything().await?;

        let claim = Claim::new("clerk").also_on("profiles");
        let mut session = stage.locked(&claim).await?;
        claim.provision(&mut session).await?;
        let secret = claim.set(stage, &mut session, &claim.logins().a).await?;
        let application = stage.client_of(&claim.logins().a, &secret)?;
        run(&application, "profiles", insert()).await?;
        run(&application, "orders", insert()).await?;
        // Dropped by hand: the logins are not defined there, and nothing is orphaned.
        run(&stage.root, "orders", doc! { "dropDatabase": 1 }).await?;

        let catalog = session.observe(&claim.question()).await?;
        let retained = claim.clone().adopting();
        let steps = engine::decide::farewell(&retained.wishes, &name("orders"), &catalog);
        let only_logins = |step: &ServerStep| matches!(step, ServerStep::DropLogin { .. });
        assert!(steps.iter().all(only_logins), "{steps:?}");
        let steps = engine::decide::farewell(&claim.wishes, &name("orders"), &catalog);
        assert_eq!(steps.len(), 4, "{steps:?}");
        session.apply(&steps, &catalog).await?;
        assert_eq!(stage.everything().await?, before);
        let again = run(&application, "profiles", insert()).await;
        assert!(again.is_err());
        // Done twice it leaves the same.
        session.apply(&steps, &catalog).await?;
        assert_eq!(stage.everything().await?, before);
        let reservations = run(
            &stage.root,
            "dbclaims",
            doc! { "count": "locks",
            "query": { "managedBy": { "$exists": true } } },
        )
        .await?;
        assert_eq!(reservations.get_i32("n")?, 0);
        Ok(())
    })
    .await
}

/// No password reaches mongod's log, nor an error of ours.
#[tokio::test]
async fn no_password_is_told() -> Result<()> {
    let stage = Stage::new(Shape::Set(1)).await?;
    let verbose = doc! { "setParameter": 1, "logComponentVerbosity": {
    "accessControl": { "verbosity": 2 }, "command": { "verbosity": 2 } } };
    run(&stage.root, "admin", verbose).await?;
    let claim = Claim::new("clerk");
    let login = claim.logins().a;
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let secret = claim.set(&stage, &mut session, &login).await?;
    let wrong = password();
    let dsn = stage.dsn(&login, &wrong);
    let err = mongo::log_in(&dsn, stage.admins.timeouts())
        .await
        .unwrap_err();
    assert!(err.is_refused_login(), "{err}");
    let log = stage.servers.log()?;
    assert!(log.contains("updateUser"), "the log must be able to tell");
    for secret in [&secret, &wrong] {
        let secret = secrecy::ExposeSecret::expose_secret(secret);
        assert!(!log.contains(secret));
        assert!(!format!("{err} {err:?}").contains(secret));
    }
    Ok(())
}

/// Check B 18: as the server takes it, and with which mechanism a driver gets in.
#[tokio::test]
async fn logins_prove_themselves_by_the_mechanisms_that_the_claim_lists() -> Result<()> {
    for (enabled, listed, works) in [
        ("SCRAM-SHA-1", vec!["SCRAM-SHA-1"], &["SCRAM-SHA-1"][..]),
        ("SCRAM-SHA-256", vec![], &["SCRAM-SHA-256"]),
        (
            "SCRAM-SHA-1,SCRAM-SHA-256",
            vec!["SCRAM-SHA-256", "SCRAM-SHA-1"],
            &["SCRAM-SHA-256", "SCRAM-SHA-1"],
        ),
        ("SCRAM-SHA-1,SCRAM-SHA-256", vec![], &["SCRAM-SHA-256"]),
    ] {
        let parameter = format!("authenticationMechanisms={enabled}");
        let options = Options {
            parameters: &[&parameter],
            ..Options::default()
        };
        let servers = Servers::start_with(Shape::Standalone, &options).await?;
        let stage = Stage::of(servers).await?;
        let mut claim = Claim::new("clerk");
        claim.wishes.access.mechanisms = listed.iter().map(ToString::to_string).collect();
        let login = claim.logins().a;
        let mut session = stage.locked(&claim).await?;
        claim.provision(&mut session).await?;
        let secret = claim.set(&stage, &mut session, &login).await?;
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1"] {
            let mut dsn = stage.dsn(&login, &secret);
            let pair = ("authMechanism".to_owned(), mechanism.to_owned());
            dsn.address.parameters.push(pair);
            let outcome = mongo::log_in(&dsn, stage.admins.timeouts()).await;
            assert_eq!(
                outcome.is_ok(),
                works.contains(&mechanism),
                "{enabled}: {outcome:?}"
            );
        }
    }
    Ok(())
}
