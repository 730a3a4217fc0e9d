//! The controller dies at every step of the rotation, and anywhere.

use std::time::Duration;

use anyhow::Result;
use engine::rotation::Step;
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use testkit::{TestEnv, env};

use super::faulty::{Fault, Faulty};
use super::turnover::{Pace, Subject, Turnover};
use crate::support::{Stage, existing, merge, own};

/// How often the controller dies at each of the nine steps.
const ROUNDS: usize = 4;

/// Rotations over all claims before the test is content.
const ROTATIONS: u64 = 520;

/// Longest life of a controller that dies by chance: a few rotations.
const LIFE: Duration = Duration::from_millis(500);

/// Claims of both kinds, with the default overlap and with one that retires logins soon.
pub(super) async fn subjects(env: &TestEnv, stage: &Stage) -> Result<Vec<Subject>> {
    let admin = env.create_owner_admin().await?;
    let port = json!({ "port": env.postgres().port() });
    let server = stage.server("promise", &admin, port).await?;
    let mut subjects = Vec::new();
    for (name, rotation, pace) in [
        ("kept", json!({}), Pace::WithoutPause),
        ("short", json!({ "overlap": "1s" }), Pace::AfterRetirement),
    ] {
        let adopted = Subject {
            name: format!("adopted-{name}"),
            role: own("clerk"),
            pace,
        };
        let database = env.create_database_of("orders", admin.login()).await?;
        let source = admin.clone().database(&database);
        let spec = existing(&adopted.role, &source);
        let adopted = claim(stage, adopted, spec, &rotation).await?;
        let made = Subject {
            name: format!("made-{name}"),
            role: own("baker"),
            pace,
        };
        let database = own("bread");
        env.adopt_database(&database);
        let spec = json!({ "userName": made.role, "databaseName": database, "server": server });
        let made = claim(stage, made, spec, &rotation).await?;
        // One that retires logins is shared; on MongoDB one that does not, too.
        if pace == Pace::AfterRetirement {
            made.share(stage).await?;
        }
        subjects.extend([adopted, made]);
    }
    Ok(subjects)
}

async fn claim(
    stage: &Stage,
    subject: Subject,
    mut spec: Value,
    rotation: &Value,
) -> Result<Subject> {
    merge(&mut spec, json!({ "rotation": rotation }));
    stage.claim(&subject.name, spec).await?;
    Ok(subject)
}

/// A claim on a database of its own that exists, under an admin that is no superuser; the
/// database's name too.
pub(super) async fn adopted(
    env: &TestEnv,
    stage: &Stage,
    rotation: Value,
) -> Result<(Subject, String)> {
    let admin = env.create_owner_admin().await?;
    let database = env.create_database_of("orders", admin.login()).await?;
    let subject = Subject {
        name: "shop".to_owned(),
        role: own("clerk"),
        pace: Pace::WithoutPause,
    };
    let spec = existing(&subject.role, &admin.database(&database));
    let subject = claim(stage, subject, spec, &rotation).await?;
    Ok((subject, database))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_the_published_dsn_authenticates_through_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        // The first publication is the same machine: the probers are there before it.
        let turnover = Turnover::start(&stage, subjects(env, &stage).await?);
        for _ in 0..ROUNDS {
            for step in Step::iter() {
                controller.strike_at(step)?;
                controller.start_after_death().await?;
            }
        }
        let after_steps = turnover.rotations().await?;
        let at_random = controller
            .die_at_random(&turnover, ROTATIONS, LIFE)
            .await?;
        let tally = turnover.settle().await?;
        let steps = Step::iter().count();
        tally.check(&format!(
            "{ROUNDS} kills at each of {steps} steps ({after_steps} rotations) and {at_random} at random"
        ));
        assert!(tally.rotations >= ROTATIONS);
        Ok(())
    })
    .await
}
