//! What hands do to roles and database of a claim, one thing after the other: it is seen, and put
//! right by the admin where the server lets it, and only there.

use anyhow::{Context, Result, ensure};
use engine::{
    address::Engine,
    asked::Asked,
    catalog::Catalog,
    decide::{self, House},
    observed::{Observed, Proof, Recorded},
    password::Policy,
    step::ServerStep,
    wishes::{
        Access, ClaimId, ClaimKind, DriftPolicy, Elevation, Mode, SecretShape, Timing, Wishes,
    },
};
use jiff::Timestamp;
use std::time::Duration;
use testkit::postgres::{execute, quote};

use crate::stage::{Claim, Stage, everywhere};

/// Who can take back what a hand did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Superuser,
    /// From 16 on, whoever granted it.
    Grantor,
}

struct Hand {
    sql: String,
    undo: String,
    /// How the difference is told.
    words: String,
    needs: Needs,
}

fn hand(sql: impl Into<String>, undo: impl Into<String>, words: impl Into<String>) -> Hand {
    Hand {
        sql: sql.into(),
        undo: undo.into(),
        words: words.into(),
        needs: Needs::Nothing,
    }
}

impl Hand {
    fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }
}

/// Attributes of roles and logins.
fn attributes() -> Vec<Hand> {
    let alter = |role: &str, on: &str, off: &str, words: &str| {
        hand(
            format!("ALTER ROLE {role} {on}"),
            format!("ALTER ROLE {role} {off}"),
            words,
        )
    };
    let mut all = vec![alter(
        "clerk",
        "LOGIN",
        "NOLOGIN",
        "role clerk may log in itself",
    )];
    for role in ["clerk", "clerk_a", "clerk_b"] {
        let kind = if role == "clerk" { "role" } else { "login" };
        all.extend([
            alter(
                role,
                "CREATEDB",
                "NOCREATEDB",
                &format!("role {role} may create databases"),
            ),
            alter(
                role,
                "CREATEROLE",
                "NOCREATEROLE",
                &format!("role {role} may create roles"),
            ),
            alter(
                role,
                "SUPERUSER",
                "NOSUPERUSER",
                &format!("role {role} is a superuser"),
            )
            .needs(Needs::Superuser),
            alter(
                role,
                "BYPASSRLS",
                "NOBYPASSRLS",
                &format!("role {role} bypasses row security"),
            )
            .needs(Needs::Superuser),
            alter(
                role,
                "REPLICATION",
                "NOREPLICATION",
                &format!("{kind} {role} may replicate"),
            )
            .needs(Needs::Superuser),
        ]);
    }
    for login in ["clerk_a", "clerk_b"] {
        let words = format!("role {login} does not inherit the rights of its roles");
        all.push(alter(login, "NOINHERIT", "INHERIT", &words));
        let words = format!("role {login} has a password that expires");
        let on = "VALID UNTIL '2999-01-01'";
        all.push(alter(login, on, "VALID UNTIL 'infinity'", &words));
    }
    all
}

/// Memberships, role settings, and the database.
fn others(major: u32, admin: &str) -> Vec<Hand> {
    let (has_options, admin) = (major >= 16, quote(admin));
    let by_admin = if has_options {
        format!(" GRANTED BY {admin}")
    } else {
        String::new()
    };
    let mut all = vec![
        hand(
            format!("SET ROLE {admin}; GRANT clerk TO ops; RESET ROLE"),
            "",
            format!(
                "ops is a member of clerk, granted by {}",
                admin.trim_matches('"')
            ),
        ),
        hand(
            "GRANT clerk TO ops",
            "REVOKE clerk FROM ops",
            "ops is a member of clerk, granted by postgres",
        )
        .needs(Needs::Grantor),
        hand(
            "GRANT pg_monitor TO clerk",
            "REVOKE pg_monitor FROM clerk",
            "clerk is a member of pg_monitor, granted by postgres",
        )
        .needs(Needs::Grantor),
        hand(
            "GRANT pg_monitor TO clerk_a",
            "REVOKE pg_monitor FROM clerk_a",
            "clerk_a is a member of pg_monitor, granted by postgres",
        )
        .needs(Needs::Grantor),
        hand(
            format!("REVOKE clerk FROM clerk_b{by_admin}"),
            "",
            "login clerk_b is no member of clerk",
        ),
        hand(
            "ALTER ROLE clerk_b RESET role",
            "",
            "login clerk_b does not run as clerk",
        ),
        hand(
            "ALTER ROLE clerk_b SET role TO ops",
            "",
            "login clerk_b does not run as clerk",
        ),
        hand(
            "GRANT CONNECT, CREATE ON DATABASE orders TO PUBLIC",
            "",
            "PUBLIC has CONNECT, CREATE on database orders",
        ),
        hand(
            "ALTER DATABASE orders OWNER TO ops",
            "ALTER DATABASE orders OWNER TO clerk",
            "database orders belongs to ops",
        )
        .needs(Needs::Superuser),
    ];
    if has_options {
        for option in ["INHERIT", "SET"] {
            all.push(hand(
                format!("REVOKE {option} OPTION FOR clerk FROM clerk_b{by_admin}"),
                "",
                "login clerk_b is no member of clerk",
            ));
        }
    }
    all
}

fn wishes(claim: &Claim) -> Wishes {
    Wishes {
        claim: ClaimId {
            kind: ClaimKind::Claim,
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
            uid: claim.mark.uid.clone(),
        },
        mode: Mode::Create,
        role: claim.role.clone(),
        renamed_from: None,
        former_roles: Vec::new(),
        timing: Timing {
            period: Duration::from_hours(1),
            overlap: None,
            max_overlap: None,
            is_paused: false,
            asked: Asked::default(),
        },
        extensions: Vec::new(),
        are_extensions_explicit: false,
        permitted_extensions: None,
        system_functions: Vec::new(),
        wants_replication: false,
        elevation: Elevation::Denied,
        bounds: None,
        password: Policy::Plain,
        secret: SecretShape::default(),
        engine: Engine::Postgres,
        access: Access::default(),
        share: None,
        drift: DriftPolicy::Repair,
    }
}

/// What a pass would do of roles and database.
fn look(claim: &Claim, catalog: &Catalog) -> Result<House> {
    let observed = Observed {
        secret: None,
        login: None,
        catalog: catalog.clone(),
        published: Proof::NotAsked,
        recorded: Recorded {
            database: Some(claim.database.to_string()),
            is_provisioned: true,
            is_carried_out: true,
            ..Recorded::default()
        },
    };
    let now = Timestamp::UNIX_EPOCH;
    Ok(decide::house(
        &wishes(claim),
        &claim.database,
        &observed,
        now,
    )?)
}

fn told(steps: &[&ServerStep]) -> Vec<String> {
    steps.iter().filter_map(|step| step.difference()).collect()
}

async fn try_hand(stage: &Stage, claim: &Claim, hand: &Hand, may: bool) -> Result<()> {
    let superuser = stage.server.superuser();
    execute(&superuser.url(), &hand.sql).await?;
    let mut session = stage.session().await?;
    let catalog = claim.observe(&mut session).await?;
    let house = look(claim, &catalog)?;
    let done: Vec<_> = house.steps.iter().chain(&house.repairs).collect();
    let left: Vec<_> = house.left.iter().map(|(step, _)| step).collect();
    let words = [hand.words.clone()];
    if may {
        ensure!(told(&done) == words && left.is_empty(), "{house:?}");
        for step in done {
            session.apply(std::slice::from_ref(step), &catalog).await?;
        }
    } else {
        ensure!(told(&left) == words && done.is_empty(), "{house:?}");
        // The server says the same.
        for step in left {
            let tried = session.apply(std::slice::from_ref(step), &catalog).await;
            ensure!(tried.is_err(), "the server takes {step:?}");
        }
        execute(&superuser.url(), &hand.undo).await?;
    }
    let catalog = claim.observe(&mut stage.session().await?).await?;
    let again = look(claim, &catalog)?;
    ensure!(again == House::default(), "afterwards: {again:?}");
    Ok(())
}

#[tokio::test]
async fn what_hands_changed_is_seen_and_put_right_where_the_server_lets_the_admin() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        let catalog = claim.observe(&mut session).await?;
        let untouched = look(&claim, &catalog)?;
        ensure!(untouched == House::default(), "{untouched:?}");
        stage.run("postgres", "CREATE ROLE ops").await?;
        let admin = stage.admin.credential.login.as_str();
        let major = stage.server.major();
        for hand in attributes().iter().chain(&others(major, admin)) {
            let may = match hand.needs {
                _ if catalog.admin.is_superuser => true,
                Needs::Nothing => true,
                Needs::Superuser => false,
                Needs::Grantor => major < 16,
            };
            let tried = try_hand(stage, &claim, hand, may).await;
            tried.with_context(|| hand.sql.clone())?;
        }
        assert_eq!(stage.memberships_of_admin().await?, "0");
        Ok(())
    })
    .await
}

/// Who may replicate can't be altered by others before 16, in whatever.
#[tokio::test]
async fn a_role_that_is_out_of_reach_is_left_whole() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        let mut session = stage.session().await?;
        claim.create(&mut session).await?;
        stage
            .run("postgres", "ALTER ROLE clerk SUPERUSER LOGIN CREATEDB")
            .await?;
        let catalog = claim.observe(&mut session).await?;
        let house = look(&claim, &catalog)?;
        let is_superuser = catalog.admin.is_superuser;
        let counts = (house.repairs.len(), house.left.len());
        assert_eq!(counts, if is_superuser { (3, 0) } else { (0, 3) });
        Ok(())
    })
    .await
}
