//! The promise on MongoDB: the controller dies, two of them lead at once, members stop and start.

use std::time::Duration;

use anyhow::Result;
use engine::rotation::Step;
use rand::RngExt;
use serde_json::json;
use strum::IntoEnumIterator;
use testkit::env;
use testkit::mongod::Shape;

use super::place::{DATABASES, Place, made};
use crate::promise::faulty::{Fault, Faulty};
use crate::promise::turnover::{Pace, Subject, Turnover};
use crate::support::{Stage, merge};

/// Rotations over all claims before the test is content.
const ROTATIONS: u64 = 300;

/// Longest life of a controller that dies by chance. What it held is free after 15 s only, so a
/// shorter one would see few rotations.
const LIFE: u64 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn row_18_the_published_uri_authenticates_through_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        let mongod = Place::start(Shape::Set(1)).await?;
        let server = mongod.register(&stage, "promise").await?;
        let mut subjects = Vec::new();
        for (number, database) in DATABASES.iter().enumerate() {
            let (rotation, pace) = match number {
                0 => (json!({ "overlap": "1s" }), Pace::AfterRetirement),
                _ => (json!({}), Pace::WithoutPause),
            };
            let name = format!("shop-{number}");
            let role = format!("clerk_{number}");
            let mut spec = made(&role, database, &server);
            merge(&mut spec, json!({ "rotation": rotation }));
            stage.claim(&name, spec).await?;
            subjects.push(Subject { name, role, pace });
        }
        let turnover = Turnover::start(&stage, subjects);
        for step in Step::iter() {
            controller.strike_at(step)?;
            controller.start_after_death().await?;
        }
        let mut at_random = 0;
        while turnover.rotations().await? < ROTATIONS {
            // Not to wait for anything: the instant itself is what is drawn.
            let life = rand::rng().random_range(0..LIFE);
            tokio::time::sleep(Duration::from_millis(life)).await;
            controller.kill_and_start().await?;
            at_random += 1;
        }
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
