//! The promise on MongoDB: the controller dies, two of them lead at once, members stop and start.

use std::time::Duration;

use anyhow::{Context, Result};
use engine::rotation::Step;
use mongodb::bson::doc;
use serde_json::json;
use strum::IntoEnumIterator;
use testkit::env;
use testkit::mongod::{Shape, allow_logins_in, log_in, run};

use super::place::{DATABASES, Place, SECOND, made};
use crate::promise::turnover::{Pace, Subject, Turnover};
use crate::promise::{Fault, Faulty};
use crate::support::{Stage, merge};

/// Rotations over all claims before the test is content.
const ROTATIONS: u64 = 300;

const ELECTIONS: usize = 3;

/// Longest life of a controller that dies by chance. What it held is free after 15 s only, so a
/// shorter one would see few rotations.
const LIFE: Duration = Duration::from_secs(20);

/// So many claims have a role claim: one of each pace.
const SHARED: usize = 2;

/// The claim whose databases each log it in.
const COPIED: &str = "shop-1";

/// A claim on each database, one of which retires its previous login soon, and one of which has
/// its logins in two databases.
async fn subjects(stage: &Stage, mongod: &Place, stem: &str) -> Result<Vec<Subject>> {
    let server = mongod.register(stage, stem).await?;
    let copied = [DATABASES[1], SECOND];
    allow_logins_in(&mongod.root, &copied).await?;
    let mut subjects = Vec::new();
    for (number, database) in DATABASES.iter().enumerate() {
        let (more, pace) = match number {
            0 => (
                json!({ "rotation": { "overlap": "1s" } }),
                Pace::AfterRetirement,
            ),
            1 => (
                json!({ "databases": [SECOND], "authDatabase": "PerDatabase" }),
                Pace::WithoutPause,
            ),
            _ => (json!({}), Pace::WithoutPause),
        };
        let name = format!("shop-{number}");
        let role = format!("clerk_{number}");
        let mut spec = made(&role, database, &server);
        merge(&mut spec, more);
        stage.claim(&name, spec).await?;
        let subject = Subject { name, role, pace };
        if number < SHARED {
            subject.share(stage).await?;
        }
        subjects.push(subject);
    }
    Ok(subjects)
}

/// What is published logs in where its second copy is, too.
async fn copy_logs_in(stage: &Stage) -> Result<()> {
    let secret = stage.secret(COPIED).await?;
    let uri = secret.get(&format!("uri.{SECOND}")).context("no URI")?;
    log_in(&uri.as_str().into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_the_published_uri_authenticates_through_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        let mongod = Place::start(Shape::Set(1)).await?;
        let subjects = subjects(&stage, &mongod, "promise").await?;
        let turnover = Turnover::start(&stage, subjects);
        for step in Step::iter() {
            controller.strike_at(step)?;
            controller.start_after_death().await?;
        }
        let at_random = controller.die_at_random(&turnover, ROTATIONS, LIFE).await?;
        let tally = turnover.settle().await?;
        copy_logs_in(&stage).await?;
        let steps = Step::iter().count();
        tally.check(&format!(
            "MongoDB: a kill at each of {steps} steps and {at_random} at random"
        ));
        assert!(tally.rotations >= ROTATIONS);
        Ok(())
    })
    .await
}

/// A frozen leader keeps its lease until the server's clock says otherwise; what it does when it
/// wakes is stale.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_frozen_at_a_step_publishes_nothing_stale_when_it_wakes() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let frozen = Faulty::start(env, Fault::Freeze).await?;
        let mongod = Place::start(Shape::Set(1)).await?;
        let server = mongod.register(&stage, "frozen").await?;
        stage
            .claim("shop", made("clerk", "orders", &server))
            .await?;
        let subject = Subject {
            name: "shop".to_owned(),
            role: "clerk".to_owned(),
            pace: Pace::WithoutPause,
        };
        subject.share(&stage).await?;
        let turnover = Turnover::start(&stage, vec![subject]);
        for step in [Step::Set, Step::Verify, Step::Publish] {
            turnover.more(5).await?;
            frozen.strike_at(step)?;
            frozen.frozen().await?;
            let other = env.controller("").await?;
            turnover.more(5).await?;
            frozen.process().resume()?;
            turnover.more(5).await?;
            other.kill().await?;
        }
        let tally = turnover.settle().await?;
        tally.check("MongoDB: a leader frozen at each of 3 steps while another leads");
        Ok(())
    })
    .await
}

/// Elections under rotations: what the driver waits out, the controller waits out too.
#[tokio::test(flavor = "multi_thread")]
async fn elections_in_the_middle_of_rotations_break_no_login() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let mongod = Place::start(Shape::Set(3)).await?;
        let subjects = subjects(&stage, &mongod, "elections").await?;
        let turnover = Turnover::start(&stage, subjects);
        for _ in 0..ELECTIONS {
            turnover.more(10).await?;
            let down = doc! { "replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 4 };
            run(&mongod.root, "admin", down).await?;
        }
        turnover.more(10).await?;
        let tally = turnover.settle().await?;
        copy_logs_in(&stage).await?;
        tally.check(&format!("MongoDB: {ELECTIONS} elections in a set of three"));
        Ok(())
    })
    .await
}
