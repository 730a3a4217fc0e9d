//! Faults of sidecar, Secret and database: the application goes on without a restart of its pod,
//! and what fails in an outage that is not ours is counted.

use anyhow::{Context, Result, ensure};
use api::names::secret_key;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use testkit::postgres::PostgresServer;
use testkit::wait::wait_for;

use crate::place::{CLAIM, Place};
use crate::pods::{containers, metric};
use crate::release::Release;
use crate::work::patient;
use crate::world::{World, world};

const KILLS: i32 = 2;

/// One application and what has become of its queries.
struct Customer<'a> {
    place: &'a Place<'a>,
    pod: Pod,
    failed: usize,
}

impl Customer<'_> {
    fn output(&self) -> Result<String> {
        self.place.world.node.output(&self.pod, "app")
    }

    /// Waits until queries succeed again; returns how many failed since the last time.
    async fn served(&mut self) -> Result<usize> {
        let before = self.output()?.lines().count();
        let output = wait_for("queries to succeed", async || {
            let output = self.output()?;
            let new: Vec<_> = output.lines().skip(before).collect();
            let latest: Vec<_> = new.iter().rev().take(5).collect();
            let are_good = latest.len() == 5 && latest.iter().all(|line| **line == "ok");
            Ok(are_good.then_some(output))
        })
        .await?;
        let failed = output.lines().filter(|line| *line == "failed").count();
        let new = failed - self.failed;
        self.failed = failed;
        Ok(new)
    }

    /// Waits until the proxy has refused a credential for this cause.
    async fn refused(&self, cause: &str) -> Result<()> {
        let name = format!("dbproxy_credential_refusals_total{{cause=\"{cause}\"}}");
        wait_for(&name, async || {
            let count = metric(&self.pod, &name).await?;
            Ok((count >= 1.0).then_some(()))
        })
        .await
    }

    fn restarts(&self, container: &str) -> Result<i32> {
        let all = containers(&self.pod).into_iter();
        let mut named = all.filter(|status| status.name == container);
        Ok(named.next().context("a container")?.restart_count)
    }
}

/// The proxy dies as soon as the new credential is in its volume, which it is about to use.
async fn the_proxy_is_killed_in_a_switch(customer: &mut Customer<'_>) -> Result<()> {
    let (place, node) = (customer.place, &customer.place.world.node);
    for kill in 1..=KILLS {
        let volume = || node.mounted(&customer.pod, "dbproxydsn", secret_key::URI_DSN);
        let before = volume()?;
        place.stage.rotate(CLAIM).await?;
        wait_for("the volume to change", async || {
            Ok((volume()? != before).then_some(()))
        })
        .await?;
        node.signal_container(&customer.pod, "dbproxy", "SIGKILL")
            .await?;
        customer.pod = wait_for("the proxy to be there again", async || {
            customer.pod = place.ready("till").await?;
            let is_again = customer.restarts("dbproxy")? == kill;
            Ok(is_again.then(|| customer.pod.clone()))
        })
        .await?;
        let failed = customer.served().await?;
        eprintln!("dbproxy killed in a switch: {failed} queries failed until it was back");
    }
    Ok(())
}

/// Nobody mends the Secret, since the controller is away.
async fn the_secret_is_spoiled(customer: &mut Customer<'_>) -> Result<()> {
    let place = customer.place;
    let spoil = async |text: &str| {
        let text = serde_json::to_value(ByteString(text.as_bytes().to_vec()))?;
        let data = json!({ "data": { secret_key::URI_DSN: text } });
        place.stage.patch_secret(CLAIM, data).await
    };
    let secret = place.secret().await?;
    let good = secret.get(secret_key::URI_DSN).context("a DSN")?;
    spoil("").await?;
    customer.refused("file_empty").await?;
    ensure!(customer.served().await? == 0, "with an empty Secret");
    let (before, after) = good.rsplit_once('@').context("a host")?;
    let (before, _) = before.rsplit_once(':').context("a password")?;
    spoil(&format!("{before}:wrong@{after}")).await?;
    customer.refused("login").await?;
    ensure!(customer.served().await? == 0, "with a wrong password");
    eprintln!("Secret emptied, then a wrong password in it: 0 queries failed");
    Ok(())
}

async fn run(world: &World) -> Result<()> {
    let release = Release::install(&world.control_plane, "outages").await?;
    let controller = release.controller().await?;
    let mut postgres = PostgresServer::builder()
        .address(world.node.address().into())
        .start()
        .await?;
    let place = Place::of_class(world, "outages", "outages", &postgres).await?;
    place.pod("till", &patient(), json!({})).await?;
    let pod = place.ready("till").await?;
    let uid = pod.uid();
    let mut customer = Customer {
        place: &place,
        pod,
        failed: 0,
    };
    ensure!(customer.served().await? == 0, "before any fault");

    the_proxy_is_killed_in_a_switch(&mut customer).await?;

    controller.stop().await?;
    the_secret_is_spoiled(&mut customer).await?;
    let _controller = release.controller().await?;
    place.stage.ready(CLAIM).await?;
    place.rotate(std::slice::from_ref(&customer.pod)).await?;
    ensure!(customer.served().await? == 0, "while the Secret was mended");

    postgres.restart().await?;
    let failed = customer.served().await?;
    eprintln!("database restarted: {failed} queries failed, which is not our outage");

    customer.pod = place.ready("till").await?;
    assert_eq!(customer.pod.uid(), uid);
    assert_eq!(customer.restarts("app")?, 0);
    assert_eq!(customer.restarts("dbproxy")?, KILLS);
    Ok(())
}

#[tokio::test]
async fn sidecar_secret_and_database_fail_and_the_pod_goes_on() -> Result<()> {
    match world().await? {
        Some(world) => Box::pin(run(&world)).await,
        None => Ok(()),
    }
}
