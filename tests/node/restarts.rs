//! Controller, certificate, kubelet and pod go away in the middle of a rotation: nothing fails.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use testkit::wait::wait_for;

use crate::place::{CLAIM, Place};
use crate::pods::generations;
use crate::release::NAMESPACE;
use crate::release::Release;
use crate::support::rotation_of;
use crate::work::{connection_per_query, pgbench, stay_after};
use crate::world::{World, world};

impl Place<'_> {
    /// Asks for a rotation, lets `fault` happen at once, and waits until the rotation is done and
    /// the pods use what it brought.
    async fn rotate_during(
        &self,
        pods: &[Pod],
        fault: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<()> {
        let before = generations(pods).await?;
        let nonce = self.stage.ask_rotation(CLAIM).await?;
        fault().await?;
        let is_done = |claim: &_| {
            rotation_of(claim).is_some_and(|found| found.handled_nonce.as_ref() == Some(&nonce))
        };
        self.stage
            .claim_when(CLAIM, "the rotation", is_done)
            .await?;
        self.switched(pods, &before).await
    }

    /// Has pods admitted, not one of them in vain. None is kept.
    async fn admit(&self, count: u32) -> Result<()> {
        let pod = self.template("dry", &[("app", "true")], json!({}));
        let mut pod: Pod = serde_json::from_value(pod)?;
        pod.metadata.generate_name = Some("dry-".to_owned());
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        for _ in 0..count {
            let answer = self.pods().create(&params, &pod).await?;
            let spec = answer.spec.unwrap_or_default();
            ensure!(spec.init_containers.is_some(), "a pod without sidecar");
        }
        Ok(())
    }
}

async fn run(world: &World) -> Result<()> {
    let release = Release::install(&world.control_plane, "restarts").await?;
    let mut controller = release.controller().await?;
    let place = Place::of_class(world, "restarts", "restarts", &world.postgres).await?;
    for app in ["steady", "moving"] {
        let bench = stay_after(&pgbench(""));
        let each = stay_after(&connection_per_query());
        let scripts = [("bench", &*bench), ("each", &*each)];
        let template = place.template(app, &scripts, json!({}));
        let body = json!({
            "metadata": { "name": app },
            "spec": { "selector": { "matchLabels": { "app": app } }, "template": template },
        });
        place.create("apps/v1", "Deployment", body).await?;
    }
    let pods = [place.ready("steady").await?, place.ready("moving").await?];

    for _ in 0..3 {
        place
            .rotate_during(&pods, async || {
                controller.kill().await?;
                controller = release.controller().await?;
                Ok(())
            })
            .await?;
    }

    let secrets = Api::<Secret>::namespaced(place.stage.client.clone(), NAMESPACE);
    let certificate = release.certificate();
    place
        .rotate_during(&pods, async || {
            secrets
                .delete(&certificate, &DeleteParams::default())
                .await?;
            // The one in memory is as good; who starts anew makes another, under another authority.
            place.admit(20).await?;
            controller.kill().await?;
            controller = release.controller().await?;
            wait_for("the registrations to be seen", async || {
                Ok(Some(place.admit(1).await?))
            })
            .await?;
            place.admit(20).await
        })
        .await?;
    secrets.get(&certificate).await?;

    place
        .rotate_during(&pods, async || world.node.restart_kubelet().await)
        .await?;

    let [steady, moving] = &pods;
    let still = std::slice::from_ref(steady);
    place
        .rotate_during(still, async || {
            let name = moving.name_any();
            place.pods().delete(&name, &DeleteParams::default()).await?;
            Ok(())
        })
        .await?;
    let moved = wait_for("another pod", async || {
        let pod = place.ready("moving").await?;
        Ok((pod.uid() != moving.uid()).then_some(pod))
    })
    .await?;
    let pods = [steady.clone(), moved];
    place.rotate(&pods).await?;

    place.end().await?;
    for pod in &pods {
        for container in ["bench", "each"] {
            let transactions = place.nothing_failed(pod, container).await?;
            let name = pod.name_any();
            eprintln!("restarts, {name}/{container}: {transactions} transactions, 0 failed");
        }
    }
    Ok(())
}

#[tokio::test]
async fn restarts_in_the_middle_of_a_rotation_fail_nothing() -> Result<()> {
    match world().await? {
        Some(world) => Box::pin(run(&world)).await,
        None => Ok(()),
    }
}
