//! The controller dies at every step of a revocation.

use anyhow::{Result, ensure};
use engine::rotation::Step;
use serde_json::json;
use strum::IntoEnumIterator;
use testkit::env;
use testkit::postgres::{connect, run_in};
use testkit::prober::Prober;

use super::faulty::{Fault, Faulty};
use super::kills::adopted;
use crate::support::{Stage, log_in, rotation_of, uri};

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_brought_to_its_end_through_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        let (subject, _) = adopted(env, &stage, json!({})).await?;
        let name = subject.name.as_str();
        stage.ready(name).await?;
        let prober = Prober::start(stage.client.clone(), &stage.namespace, name);
        for step in Step::iter() {
            let claim = stage.get(name).await?;
            let generation = rotation_of(&claim).map_or(0, |rotation| rotation.generation);
            let leaked = stage.secret(name).await?;
            let mut session = connect(&uri(&leaked)).await?;
            controller.strike_at(step)?;
            stage.ask_revocation(name, &generation.to_string()).await?;
            controller.start_after_death().await?;
            stage.revoke(name, generation).await?;
            let step: &str = step.into();
            ensure!(log_in(&leaked).await.is_err(), "{step}: it still works");
            let answer = run_in(&mut session, "SELECT 1").await;
            ensure!(answer.is_err(), "{step}: a session goes on");
            ensure!(
                log_in(&stage.secret(name).await?).await? == subject.role,
                "{step}: another role"
            );
        }
        let report = prober.stop().await?;
        eprintln!("promise: a kill at each step of a revocation: {report:?}");
        ensure!(report.failures == 0, "{:?}", report.first_failures);
        Ok(())
    })
    .await
}
