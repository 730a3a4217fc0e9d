//! A credential leaked of which only some pods are still users: they are cut, and nobody else.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use testkit::wait::wait_for;

use crate::place::{CLAIM, Place};
use crate::support::rotation_of;
use crate::work::patient;
use crate::world::world;

const PODS: usize = 10;

/// So many hold a transaction open, and with it a session of the credential that it began with.
const HOLDERS: usize = 3;

const HOLDER: &str = "holder";

/// Begins a transaction and says how its session ended.
const HOLD: &str = "
    (echo 'BEGIN; SELECT 1;'; until [ -e /tmp/end ]; do sleep 0.2; echo 'SELECT 1;'; done) |
        psql -h localhost -v ON_ERROR_STOP=1 2>&1
    echo 'the transaction is over'
    sleep 100000";

impl Place<'_> {
    /// What a pod's application has said: lines that are `ok`, and others.
    fn account(&self, pod: &Pod) -> Result<(usize, usize)> {
        let output = self.world.node.output(pod, "app")?;
        let good = output.lines().filter(|line| *line == "ok").count();
        Ok((good, output.lines().count() - good))
    }

    async fn goes_on(&self, pod: &Pod) -> Result<()> {
        let (before, _) = self.account(pod)?;
        wait_for(format!("{} to go on", pod.name_any()), async || {
            Ok((self.account(pod)?.0 > before + 2).then_some(()))
        })
        .await
    }
}

#[tokio::test]
async fn of_ten_pods_the_three_with_the_leaked_credential_are_cut() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "revoke").await?;
    let app = patient();
    let mut pods = Vec::new();
    for number in 0..PODS {
        let mut scripts = vec![("app", app.as_str())];
        if number < HOLDERS {
            scripts.push((HOLDER, HOLD));
        }
        let name = format!("till-{number}");
        let more = json!({ "metadata": { "name": name } });
        let pod = place.template(&name, &scripts, more);
        place.create("v1", "Pod", pod).await?;
    }
    for number in 0..PODS {
        pods.push(place.ready(&format!("till-{number}")).await?);
    }
    let holders = pods.get(..HOLDERS).context("there are as many")?;
    for pod in holders {
        place.says(pod, HOLDER, "(1 row)").await?;
    }
    place.rotate(&pods).await?;
    for pod in &pods {
        place.goes_on(pod).await?;
    }

    let claim = place.stage.get(CLAIM).await?;
    let rotation = rotation_of(&claim).context("a rotation")?.clone();
    let leaked = rotation.generation - 1;
    let told = place.stage.inspect(CLAIM).await?;
    let of_leaked = told.sessions.iter();
    let of_leaked =
        of_leaked.filter(|group| Some(&group.login) == rotation.previous_login.as_ref());
    let found: BTreeSet<_> = of_leaked.filter_map(|group| group.pod.clone()).collect();
    let expected: BTreeSet<_> = holders.iter().map(ResourceExt::name_any).collect();
    assert_eq!(found, expected, "{told:?}");

    let done = place.stage.revoke(CLAIM, leaked).await?;
    assert_eq!(done.login, rotation.previous_login);
    assert_eq!(done.sessions_ended, i64::try_from(HOLDERS)?);
    for pod in holders {
        place.says(pod, HOLDER, "the transaction is over").await?;
    }
    for pod in &pods {
        place.goes_on(pod).await?;
        let (good, bad) = place.account(pod)?;
        ensure!(
            bad == 0,
            "{}: {bad} of {} failed",
            pod.name_any(),
            good + bad
        );
    }
    eprintln!(
        "revoke: {PODS} pods, {} cut, all go on",
        done.sessions_ended
    );

    // The published one leaked too: whoever uses it is cut, and comes back with the next.
    let done = place.stage.revoke(CLAIM, leaked + 1).await?;
    ensure!(done.sessions_ended > 0, "nobody was logged in");
    for pod in &pods {
        place.goes_on(pod).await?;
    }
    Ok(())
}
