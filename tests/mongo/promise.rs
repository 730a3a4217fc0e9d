//! The promise on MongoDB: the controller dies, two of them lead at once, members stop and start.

use std::time::Duration;

use anyhow::Result;
use engine::rotation::Step;
use mongodb::bson::doc;
use serde_json::json;
use strum::IntoEnumIterator;
use testkit::env;
use testkit::mongod::{Shape, run};

use super::place::{DATABASES, Place, made};
use crate::promise::turnover::{Pace, Subject, Turnover};
use crate::promise::{Fault, Faulty};
use crate::support::{Stage, merge};

/// Rotations over all claims before the test is content.
const ROTATIONS: u64 = 300;

const ELECTIONS: usize = 3;

/// Longest life of a controller that dies by chance. What it held is free after 15 s only, so a
/// shorter one would see few rotations.
const LIFE: Duration = Duration::from_secs(20);

/// A claim on each database, one of which retires its previous login soon.
async fn subjects(stage: &Stage, server: &str) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for (number, database) in DATABASES.iter().enumerate() {
        let (rotation, pace) = match number {
            0 => (json!({ "overlap": "1s" }), Pace::AfterRetirement),
            _ => (json!({}), Pace::WithoutPause),
        };
        let name = format!("shop-{number}");
        let role = format!("clerk_{number}");
        let mut spec = made(&role, database, server);
        merge(&mut spec, json!({ "rotation": rotation }));
        stage.claim(&name, spec).await?;
        subjects.push(Subject { name, role, pace });
    }
    Ok(subjects)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_the_published_uri_authenticates_through_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        let mongod = Place::start(Shape::Set(1)).await?;
        let server = mongod.register(&stage, "promise").await?;
        let subjects = subjects(&stage, &server).await?;
        let turnover = Turnover::start(&stage, subjects);
        for step in Step::iter() {
            controller.strike_at(step)?;
            controller.start_after_death().await?;
        }
        let at_random = controller.die_at_random(&turnover, ROTATIONS, LIFE).await?;
        let tally = turnover.settle().await?;
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
        let server = mongod.register(&stage, "elections").await?;
        let turnover = Turnover::start(&stage, subjects(&stage, &server).await?);
        for _ in 0..ELECTIONS {
            turnover.more(10).await?;
            let down = doc! { "replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 4 };
            run(&mongod.root, "admin", down).await?;
        }
        turnover.more(10).await?;
        let tally = turnover.settle().await?;
        tally.check(&format!("MongoDB: {ELECTIONS} elections in a set of three"));
        Ok(())
    })
    .await
}
