//! The promise for logins of role claims: under load beside their claim, and through deaths.

use anyhow::{Result, ensure};
use engine::rotation::Step;
use serde_json::json;
use strum::IntoEnumIterator;
use testkit::env;
use testkit::load::Load;
use testkit::prober::Prober;
use testkit::wait::wait_for;

use super::schemas::{Origin, Shop};
use crate::promise::turnover::rotate;
use crate::promise::{Fault, Faulty};

const ROUNDS: u64 = 100;
const WORKERS: usize = 2;

/// A claim and a role claim rotate at the same moment, again and again, each under an application
/// that follows its Secret: 200 rotations.
#[tokio::test(flavor = "multi_thread")]
async fn claims_and_role_claims_rotate_together_without_a_failed_query() -> Result<()> {
    env(async |env| {
        let _controller = env.controller("").await?;
        let shop = Shop::open(env, Origin::Made).await?;
        let (stage, name) = (&shop.stage, &shop.reports);
        let map = json!({ "schemarolemap": { "sales": "regular" } });
        shop.role_claims.create(name, "shop", map).await?;
        shop.settled().await?;
        let start = async |secret: &str| {
            let prober = Prober::start(stage.client.clone(), &stage.namespace, secret);
            let load = Load::start(stage.client.clone(), &stage.namespace, secret, WORKERS).await?;
            anyhow::Ok((prober, load))
        };
        let watched = [start("shop").await?, start(name).await?];
        for round in 1..=ROUNDS {
            let (of_claim, of_role_claim) =
                tokio::join!(rotate(stage, "shop"), shop.role_claims.rotate(name));
            of_claim?;
            of_role_claim?;
            // The next rotation takes the logins that the workers are leaving now.
            let goal = round * u64::try_from(WORKERS)?;
            for (_, load) in &watched {
                wait_for(format!("{goal} change-overs"), async || {
                    let report = load.report();
                    ensure!(report.switches >= goal, "{report:?}");
                    Ok(Some(()))
                })
                .await?;
            }
        }
        for ((prober, load), what) in watched.into_iter().zip(["the claim", "the role claim"]) {
            let (probed, report) = (prober.stop().await?, load.stop().await?);
            eprintln!(
                "promise: {what} through {ROUNDS} of {} rotations: {} queries, {} failed; {} logins, {} failed",
                2 * ROUNDS,
                report.queries,
                report.failed_queries,
                report.logins + probed.attempts,
                report.failed_logins + probed.failures,
            );
            assert_eq!(report.failed_queries, 0, "{:?}", report.first_failures);
            assert_eq!(report.failed_logins, 0, "{:?}", report.first_failures);
            assert_eq!(probed.failures, 0, "{:?}", probed.first_failures);
        }
        Ok(())
    })
    .await
}

/// The controller dies at each step of a role claim's rotation, the first publication among them.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_claims_dsn_authenticates_through_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        let shop = Shop::open(env, Origin::Made).await?;
        let (stage, name) = (&shop.stage, &shop.reports);
        let prober = Prober::start(stage.client.clone(), &stage.namespace, name);
        let map = json!({ "schemarolemap": { "sales": "regular" } });
        controller.strike_at(Step::Set)?;
        shop.role_claims.create(name, "shop", map).await?;
        controller.start_after_death().await?;
        shop.settled().await?;
        let overlap = json!({ "spec": { "rotation": { "overlap": "1s" } } });
        for step in Step::iter() {
            if step == Step::Retire {
                stage.patch("shop", overlap.clone()).await?;
                stage.ready("shop").await?;
            }
            controller.strike_at(step)?;
            let nonce = shop.role_claims.ask_rotation(name).await?;
            controller.start_after_death().await?;
            shop.role_claims.has_rotated(name, &nonce).await?;
        }
        let report = prober.stop().await?;
        eprintln!(
            "promise: a role claim through a kill at each of {} steps: {} logins tried, {} failed",
            Step::iter().count(),
            report.attempts,
            report.failures
        );
        ensure!(report.failures == 0, "{report:?}");
        ensure!(report.credentials > 9, "{report:?}");
        Ok(())
    })
    .await
}
