//! Check B 14: the same pair of logins in each of a claim's databases, for clients that log in where
//! their data is.

use anyhow::{Context, Result};
use engine::{
    catalog::Role,
    decide,
    names::{Login, RoleName},
    step::ServerStep,
};
use mongo::Kind;
use mongodb::bson::doc;
use secrecy::{ExposeSecret, SecretString};
use testkit::mongod::{Shape, allow_logins_in, client, run};

use crate::stage::{Claim, Stage, everywhere, name, password, roles};

const DATABASES: [&str; 3] = ["orders", "profiles", "image"];

fn claim() -> Claim {
    let claim = Claim::new("clerk").also_on("profiles").also_on("image");
    claim.per_database()
}

/// As the controller does with a new password.
async fn set(
    claim: &Claim,
    session: &mut mongo::Locked,
    login: &Login,
    password: &SecretString,
) -> Result<()> {
    let catalog = session.observe(&claim.question()).await?;
    let seen = catalog.roles.get(login.as_str()).and_then(Role::mark);
    let seen = seen.map(|mark| mark.to_string());
    let mark = claim.mark().attempt("7");
    Ok(session
        .set_password(login, password, &mark, seen.as_deref())
        .await?)
}

#[tokio::test]
async fn each_database_logs_in_the_same_pair_until_it_ends() -> Result<()> {
    everywhere(async |stage| {
        allow_logins_in(&stage.root, &DATABASES).await?;
        let claim = claim();
        let login = claim.logins().b;
        let mut session = stage.locked(&claim).await?;
        claim.provision(&mut session).await?;
        assert_eq!(claim.provision(&mut session).await?, []);
        for database in DATABASES {
            for login in claim.logins().both() {
                let user = stage.user_in(login, database).await?;
                let user = user.context("a login in each database")?;
                assert_eq!(
                    roles(&user)?,
                    ["image.readWrite", "orders.readWrite", "profiles.readWrite"]
                );
            }
        }
        assert_eq!(stage.user(&login).await?, None, "none in dbclaims");

        let secret = password();
        set(&claim, &mut session, &login, &secret).await?;
        stage.logs_in_each(&claim, &login, &secret).await?;

        // A connection of the login anywhere defers what would take it away.
        let credential = (login.as_str(), secret.expose_secret(), "image");
        let client = client(
            stage.servers.ports(),
            stage.servers.set_name(),
            Some(credential),
        )?;
        run(
            &client,
            "profiles",
            doc! { "insert": "c", "documents": [{ "x": 1 }] },
        )
        .await?;
        let catalog = session.observe(&claim.question()).await?;
        assert!(
            catalog
                .sessions
                .iter()
                .any(|session| session.login == login)
        );

        let retire = [ServerStep::Retire {
            login: login.clone(),
        }];
        session.apply(&retire, &catalog).await?;
        for database in DATABASES {
            let user = stage.user_in(&login, database).await?;
            let data = user.context("a login")?;
            let data = data.get_document("customData")?.clone();
            assert!(data.get_bool("closed")?, "{database}");
        }
        session
            .apply(&[ServerStep::Terminate { login }], &catalog)
            .await?;
        let gone = run(&client, "profiles", doc! { "find": "c" }).await;
        assert!(gone.is_err(), "the connection was logged out");
        assert_eq!(claim.provision(&mut session).await?, []);

        let catalog = session.observe(&claim.question()).await?;
        let last = decide::farewell(&claim.wishes, &name("orders"), &catalog);
        session.apply(&last, &catalog).await?;
        let left = stage.everything().await?;
        assert!(!left.iter().any(|user| user.contains("clerk")), "{left:?}");
        Ok(())
    })
    .await
}

/// What was done by hand to one copy is found and put right, and all of it is one credential.
#[tokio::test]
async fn one_copy_that_was_changed_by_hand_is_found_and_put_right() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    allow_logins_in(&stage.root, &DATABASES).await?;
    let claim = claim();
    let (login, secret) = (claim.logins().a, password());
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    set(&claim, &mut session, &login, &secret).await?;

    let by_hand = [
        doc! { "updateUser": "clerk_a", "pwd": "changed by hand" },
        doc! { "dropUser": "clerk_a" },
    ];
    for change in by_hand {
        run(&stage.root, "image", change).await?;
        let refused = stage.logs_in_each(&claim, &login, &secret).await;
        let refused = refused.unwrap_err().downcast::<mongo::Error>()?;
        assert_eq!(refused.kind, Kind::RefusedLogin);
        claim.provision(&mut session).await?;
        set(&claim, &mut session, &login, &secret).await?;
        stage.logs_in_each(&claim, &login, &secret).await?;
    }

    let extra = doc! {
        "grantRolesToUser": "clerk_a", "roles": [{ "role": "dbOwner", "db": "desktop" }],
    };
    run(&stage.root, "profiles", extra).await?;
    let steps = claim.provision(&mut session).await?;
    assert!(
        matches!(steps.as_slice(), [ServerStep::RevokeRoles { .. }]),
        "{steps:?}"
    );
    assert_eq!(claim.provision(&mut session).await?, []);
    Ok(())
}

/// An earlier `userName` leaves nothing behind in any database.
#[tokio::test]
async fn a_renamed_pair_goes_from_every_database() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    allow_logins_in(&stage.root, &DATABASES).await?;
    let former = claim();
    let mut session = stage.locked(&former).await?;
    former.provision(&mut session).await?;
    let mut renamed = former.clone();
    renamed.wishes.role = RoleName::try_from("seller")?;
    renamed.wishes.former_roles = vec![former.wishes.role.clone()];
    renamed.provision(&mut session).await?;
    let catalog = session.observe(&renamed.question()).await?;
    let last = decide::farewell(&renamed.wishes, &name("orders"), &catalog);
    session.apply(&last, &catalog).await?;
    let left = stage.everything().await?;
    let is_ours = |user: &String| user.contains("clerk") || user.contains("seller");
    assert!(!left.iter().any(is_ours), "{left:?}");
    Ok(())
}
