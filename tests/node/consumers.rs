//! Who already uses the new credential: the claim's status counts and names its pods.

use anyhow::{Result, ensure};
use kube::ResourceExt;
use serde_json::json;
use testkit::wait::wait_for;

use crate::place::{CLAIM, Place};
use crate::world::world;

/// Waits until the claim's pods are counted like that, of its newest credential.
async fn counted(place: &Place<'_>, count: &str, unreachable: &[&str]) -> Result<()> {
    let stage = &place.stage;
    wait_for(format!("{count} pods to be current"), async || {
        let status = stage.get(CLAIM).await?.status.unwrap_or_default();
        let generation = status.rotation.unwrap_or_default().generation;
        let consumers = status.consumers.unwrap_or_default();
        let wanted = format!("{count} on generation {generation}");
        ensure!(consumers.summary == wanted, "{consumers:?}, not {wanted}");
        ensure!(consumers.unreachable == unreachable, "{consumers:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_claim_tells_which_pods_have_its_newest_credential() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "consumers").await?;
    for app in ["till-1", "till-2", "till-3"] {
        place.pod(app, "sleep 1000", json!({})).await?;
    }
    // Its label alone makes no consumer.
    let labels = json!({ "persistance.atlas.infoblox.com/dbproxy": "disabled" });
    let more = json!({ "metadata": { "labels": labels } });
    place.pod("without", "sleep 1000", more).await?;
    let mut pods = Vec::new();
    for app in ["till-1", "till-2", "till-3"] {
        pods.push(place.ready(app).await?);
    }
    place.rotate(&pods).await?;
    counted(&place, "3/3", &[]).await?;

    let frozen = pods.pop().map(|pod| pod.name_any()).unwrap_or_default();
    let pod = place.pods().get(&frozen).await?;
    let signal = async |signal| world.node.signal_container(&pod, "dbproxy", signal).await;
    signal("SIGSTOP").await?;
    place.rotate(&pods).await?;
    counted(&place, "2/3", &[&frozen]).await?;
    signal("SIGCONT").await?;
    counted(&place, "3/3", &[]).await?;
    place
        .pods()
        .delete(&frozen, &kube::api::DeleteParams::default())
        .await?;
    place.rotate(&pods).await?;
    counted(&place, "2/2", &[]).await
}
