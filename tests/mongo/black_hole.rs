//! A MongoDB that accepts and never answers beside one that works.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::conditions::Type;
use serde_json::json;
use testkit::env;
use testkit::fault_proxy::{Fault, FaultProxy};
use testkit::mongod::Shape;

use super::place::{DATABASES, Place, made};
use crate::support::Stage;

/// A claim on each database, or as many that lead nowhere.
async fn claims(stage: &Stage, stem: &str, server: &str) -> Result<()> {
    for (number, database) in DATABASES.iter().enumerate() {
        let name = format!("{stem}-{number}");
        let role = format!("clerk_{name}");
        stage.claim(&name, made(&role, database, server)).await?;
    }
    Ok(())
}

async fn all_ready(stage: &Stage, stem: &str) -> Result<()> {
    for number in 0..DATABASES.len() {
        stage.ready(&format!("{stem}-{number}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_81_a_black_holed_mongodb_delays_no_claim_of_a_good_one() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let (alone, beside) = (Place::start(Shape::Set(1)), Place::start(Shape::Set(1)));
        let (alone, beside) = tokio::try_join!(alone, beside)?;
        let lost = Place::start(Shape::Standalone).await?;
        let port = lost.servers.ports().next().context("no server")?;
        let hole = FaultProxy::start((Ipv4Addr::LOCALHOST, port)).await?;
        hole.set(Fault::BlackHole);
        let spec = json!({ "engine": "mongodb", "host": "127.0.0.1", "port": hole.port() });
        let bad = stage.server_of("bad", lost.admin(), spec).await?;
        let alone = alone.register(&stage, "alone").await?;
        let beside = beside.register(&stage, "beside").await?;

        let started = Instant::now();
        claims(&stage, "alone", &alone).await?;
        all_ready(&stage, "alone").await?;
        let without = started.elapsed();

        claims(&stage, "lost", &bad).await?;
        let started = Instant::now();
        claims(&stage, "beside", &beside).await?;
        all_ready(&stage, "beside").await?;
        let with = started.elapsed();

        let number = DATABASES.len();
        eprintln!("{number} claims Ready in {without:?} alone, in {with:?} beside a black hole");
        // A bound on life, not a measurement: one waiting behind another would take minutes.
        assert!(with < without * 3 + Duration::from_secs(10));
        assert!(hole.connections() > 0, "the black hole was never asked");
        stage
            .condition("lost-0", Type::Ready, "Unavailable")
            .await?;
        let note = stage.event("lost-0", "Unavailable").await?;
        assert!(
            note.contains(&format!("127.0.0.1:{}", hole.port())),
            "{note}"
        );
        // It answers again: all of them are served, by the same process.
        hole.set(Fault::None);
        all_ready(&stage, "lost").await?;
        assert!(controller.process().is_running());
        Ok(())
    })
    .await
}
