//! Two controllers that both believe to lead, one of them frozen at the worst moments.
//!
//! The lock of a claim lives in the session that changes its logins. A frozen controller keeps both
//! and the other waits; when the server ends the session the lock is free, and what the frozen one
//! does later is stale: its passwords reach no server, and its Secret no version that still exists.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::names::annotation;
use engine::rotation::Step;
use rand::RngExt;
use serde_json::json;
use testkit::controller::ControllerProcess;
use testkit::postgres::{PostgresAccess, query};
use testkit::prober::Prober;
use testkit::wait::wait_for;
use testkit::{TestEnv, env};

use super::faulty::{Fault, Faulty};
use super::kills::{adopted, subjects};
use super::turnover::{Turnover, generation, rotate};
use crate::support::{Stage, log_in};

/// How often one of two controllers is frozen at random.
const FREEZES: usize = 30;

/// Longest time that one of them stays frozen, unless the other has made progress before.
const FROZEN: Duration = Duration::from_secs(1);

/// Admin sessions that hold a claim's lock in this database and have been silent for a while:
/// those of a frozen controller.
fn frozen_sessions(database: &str) -> String {
    format!(
        "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = '{database}' \
         AND locktype = 'advisory' AND granted AND state = 'idle'"
    )
}

async fn ask(server: &PostgresAccess, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    query(&server.superuser().url(), sql).await
}

/// Waits until the other controller waits for the lock that the frozen one holds.
async fn other_waits(server: &PostgresAccess, database: &str) -> Result<()> {
    let sql = format!(
        "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) \
         WHERE datname = '{database}' AND locktype = 'advisory' AND NOT granted"
    );
    wait_for("the other controller to wait", async || {
        Ok((!ask(server, &sql).await?.is_empty()).then_some(()))
    })
    .await
}

/// Ends the sessions of the frozen controller, as a network that forgets connections would.
async fn cut(server: &PostgresAccess, database: &str) -> Result<()> {
    let of_frozen = frozen_sessions(database);
    let ended = ask(
        server,
        &format!("SELECT pg_terminate_backend(pid) {of_frozen}"),
    )
    .await?;
    ensure!(!ended.is_empty(), "the frozen controller held no lock");
    Ok(())
}

async fn second(env: &TestEnv) -> Result<ControllerProcess> {
    env.controller("").await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_at_once_break_no_login() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let both = [second(env).await?, second(env).await?];
        let turnover = Turnover::start(&stage, subjects(env, &stage).await?);
        for _ in 0..FREEZES {
            let unlucky = both[rand::rng().random_range(0..both.len())].process();
            unlucky.pause()?;
            let _ = tokio::time::timeout(FROZEN, turnover.more(3)).await;
            unlucky.resume()?;
            turnover.more(1).await?;
        }
        let tally = turnover.settle().await?;
        tally.check(&format!("two leaders, {FREEZES} times one of them frozen"));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_frozen_at_any_step_publishes_nothing_stale_when_it_wakes() -> Result<()> {
    env(async |env| {
        let (stage, server) = (Stage::of(env), env.postgres());
        let frozen = Faulty::start(env, Fault::Freeze).await?;
        let steps = [
            Step::Lock,
            Step::Set,
            Step::Verify,
            Step::Publish,
            Step::Confirm,
        ];
        // The first publication is frozen too: there is no Secret then whose version could tell.
        frozen.strike_at(Step::Verify)?;
        let (subject, database) = adopted(env, &stage, json!({})).await?;
        let name = subject.name.clone();
        frozen.frozen().await?;
        let turnover = Turnover::start(&stage, vec![subject]);
        for step in [None].into_iter().chain(steps.map(Some)) {
            // Alone until it freezes: of two in step with each other, one can win every rotation.
            if let Some(step) = step {
                frozen.strike_at(step)?;
                frozen.frozen().await?;
            }
            let other = second(env).await?;
            other_waits(server, &database).await?;
            cut(server, &database).await?;
            turnover
                .more(5)
                .await
                .with_context(|| format!("frozen at {step:?}"))?;
            frozen.process().resume()?;
            turnover
                .more(5)
                .await
                .with_context(|| format!("woken at {step:?}"))?;
            other.kill().await?;
        }
        ensure!(generation(&stage, &name).await? >= 60);
        let tally = turnover.settle().await?;
        tally.check("a leader cut off and frozen at each of 6 places");
        Ok(())
    })
    .await
}

/// Nobody replaces the credential any more, so nobody moves the Secret's version either.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_a_frozen_leader_may_still_publish_is_not_retired() -> Result<()> {
    env(async |env| {
        let (stage, server) = (Stage::of(env), env.postgres());
        let frozen = Faulty::start(env, Fault::Freeze).await?;
        let rotation = json!({ "overlap": "1s" });
        let (subject, database) = adopted(env, &stage, rotation).await?;
        let name = &subject.name;
        stage.ready(name).await?;
        rotate(&stage, name).await?;
        let prober = Prober::start(env.client(), env.namespace(), name);
        frozen.strike_at(Step::Verify)?;
        stage.ask_rotation(name).await?;
        frozen.frozen().await?;
        let withdrawn = json!({ "metadata": { "annotations": { annotation::ROTATE: null } } });
        stage.patch(name, withdrawn).await?;
        let _other = second(env).await?;
        // Anything that makes the other one look: status no longer speaks of this generation.
        stage
            .patch(name, json!({ "spec": { "rotation": { "overlap": "2s" } } }))
            .await?;
        other_waits(server, &database).await?;
        cut(server, &database).await?;
        stage.ready(name).await?;
        frozen.process().resume()?;
        let before = prober.report().attempts;
        wait_for("logins after the waking", async || {
            Ok((prober.report().attempts > before + 50).then_some(()))
        })
        .await?;
        rotate(&stage, name).await?;
        assert_eq!(log_in(&stage.secret(name).await?).await?, subject.role);
        let report = prober.stop().await?;
        assert_eq!(report.failures, 0, "{:?}", report.first_failures);
        Ok(())
    })
    .await
}
