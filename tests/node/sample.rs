//! The published sample of a pod with the proxy, as it stands.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::assets::images;

use crate::place::Place;
use crate::support::merge;
use crate::world::world;

const SAMPLE: &str = include_str!("sample.yaml");

#[tokio::test]
async fn row_56_the_published_sample_runs_as_it_stands() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "sample").await?;
    world
        .node
        .tag(images::CLIENT, "docker.io/library/postgres:latest")
        .await?;
    let mut sample: Value = serde_saphyr::from_str(SAMPLE)?;
    let containers = sample
        .pointer_mut("/spec/containers/0")
        .context("a container")?;
    // There is no registry to ask whether this is still the latest.
    merge(containers, json!({ "imagePullPolicy": "IfNotPresent" }));
    let label = json!({ "metadata": { "labels": { "app": "sample" } } });
    merge(&mut sample, label);
    place.create("v1", "Pod", sample).await?;
    let pod = place.ready("sample").await?;
    place.says(&pod, "client", "(1 row)").await.map(drop)
}
