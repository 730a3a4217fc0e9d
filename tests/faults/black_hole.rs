//! A server that accepts and never answers beside one that works.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use testkit::env;
use testkit::fault_proxy::FaultProxy;
use testkit::postgres::PostgresServer;

use crate::support::Stage;

const CLAIMS: usize = 50;

/// Makes claims `<stem>-0` to `<stem>-49` on a server.
async fn claims(stage: &Stage, stem: &str, server: &str) -> Result<()> {
    for number in 0..CLAIMS {
        let name = format!("{stem}-{number}");
        let (role, database) = (format!("clerk_{name}"), format!("orders_{name}"));
        let spec = json!({ "userName": role, "databaseName": database, "server": server });
        stage.claim(&name, spec).await?;
    }
    Ok(())
}

async fn all_ready(stage: &Stage, stem: &str) -> Result<()> {
    for number in 0..CLAIMS {
        stage.ready(&format!("{stem}-{number}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_81_a_black_holed_server_delays_no_claim_of_a_good_one() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let hole = FaultProxy::black_hole().await?;
        let good = json!({ "port": postgres.port() });
        let good = stage.server("good", &admin, good).await?;
        let bad = json!({ "port": hole.port() });
        let bad = stage.server("bad", &admin, bad).await?;

        let started = Instant::now();
        claims(&stage, "alone", &good).await?;
        all_ready(&stage, "alone").await?;
        let alone = started.elapsed();

        claims(&stage, "lost", &bad).await?;
        let started = Instant::now();
        claims(&stage, "beside", &good).await?;
        all_ready(&stage, "beside").await?;
        let beside = started.elapsed();

        eprintln!("{CLAIMS} claims Ready in {alone:?} alone, in {beside:?} beside a black hole");
        // A bound on life, not a measurement: one waiting behind another would take minutes.
        assert!(beside < alone * 3 + Duration::from_secs(10));
        assert!(hole.connections() > 0, "the black hole was never asked");
        assert!(controller.process().is_running());
        Ok(())
    })
    .await
}
