//! An application that follows its Secret notices no rotation.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::env;
use testkit::load::{Load, LoadReport};
use testkit::prober::Prober;
use testkit::wait::wait_for;

use super::kills::adopted;
use super::turnover::{generation, rotate};
use crate::support::Stage;

const ROTATIONS: u64 = 20;
const WORKERS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn an_application_under_load_loses_no_query_and_no_login_through_20_rotations() -> Result<()>
{
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let (subject, _) = adopted(env, &stage, json!({})).await?;
        let name = &subject.name;
        stage.ready(name).await?;
        let prober = Prober::start(env.client(), env.namespace(), name);
        let load = Load::start(env.client(), env.namespace(), name, WORKERS).await?;
        let first = generation(&stage, name).await?;
        for rotation in 1..=ROTATIONS {
            rotate(&stage, name).await?;
            // The next rotation takes the login that the workers are leaving now.
            let goal = rotation * u64::try_from(WORKERS)?;
            wait_for(format!("{goal} change-overs"), async || {
                let report = load.report();
                ensure!(report.switches >= goal, "{report:?}");
                Ok(Some(()))
            })
            .await?;
        }
        let rotations = generation(&stage, name).await? - first;
        let watched = prober.stop().await?;
        let report = load.stop().await?;
        let LoadReport {
            logins,
            failed_logins,
            queries,
            failed_queries,
            switches,
            first_failures,
        } = &report;
        eprintln!(
            "promise: an application of {WORKERS} workers through {rotations} rotations: {queries} queries, {failed_queries} failed; {logins} logins, {failed_logins} failed; {switches} change-overs; prober: {} logins, {} failed",
            watched.attempts, watched.failures
        );
        assert_eq!((*failed_queries, *failed_logins), (0, 0), "{first_failures:?}");
        assert_eq!(watched.failures, 0, "{:?}", watched.first_failures);
        assert!(rotations >= ROTATIONS);
        Ok(())
    })
    .await
}
