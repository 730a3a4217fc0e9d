//! The search of [`super::hunt`] finds a password that is really there, in each kind of place.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::env;
use testkit::postgres::execute;
use testkit::wait::wait_for;

use super::hunt::Scene;
use super::passwords::{Canary, leaks};
use super::places;
use crate::support::Stage;

/// Writes the password into objects, as a careless controller would.
async fn into_objects(stage: &Stage, password: &str) -> Result<()> {
    let annotation = json!({ "metadata": { "annotations": { "test/leak": password } } });
    let params = PatchParams::default();
    // Nobody serves this class, so nobody takes the words back.
    let foreign = json!({ "class": "nobody", "userName": "clerk", "databaseName": "orders" });
    for name in ["annotated", "stated", "managed"] {
        stage.claim(name, foreign.clone()).await?;
    }
    stage.patch("annotated", annotation.clone()).await?;
    let status = Patch::Merge(json!({ "status": { "error": password } }));
    stage
        .claims()
        .patch_status("stated", &params, &status)
        .await?;
    let manager = PatchParams {
        field_manager: Some(password.to_owned()),
        ..params.clone()
    };
    let label = Patch::Merge(json!({ "metadata": { "labels": { "test": "label" } } }));
    stage.claims().patch("managed", &manager, &label).await?;
    stage.put_secret("noted", &[]).await?;
    stage.patch_secret("noted", annotation).await?;

    let (client, namespace) = (stage.client.clone(), &stage.namespace);
    let lease: Lease = serde_json::from_value(json!({
        "metadata": { "name": "held" }, "spec": { "holderIdentity": password }
    }))?;
    let leases = Api::namespaced(client.clone(), namespace);
    leases.create(&PostParams::default(), &lease).await?;
    let event: Event = serde_json::from_value(json!({
        "metadata": { "name": "told" }, "eventTime": "2026-01-01T00:00:00.000000Z",
        "action": "Test", "reason": "Test", "type": "Normal", "note": password,
        "reportingController": "test", "reportingInstance": "test",
        "regarding": { "kind": "Secret", "name": "noted", "namespace": namespace },
    }))?;
    let events = Api::namespaced(client, namespace);
    events.create(&PostParams::default(), &event).await?;
    Ok(())
}

/// The kinds of places in which the scene's passwords are found.
async fn found(
    scene: &Scene,
    controller: &testkit::controller::ControllerProcess,
) -> Result<BTreeSet<String>> {
    let lines = scene.search(controller).await?;
    let places = lines.iter().filter_map(|line| line.split_once(": "));
    Ok(places.map(|(place, _)| place.to_owned()).collect())
}

#[tokio::test]
async fn row_76_a_planted_password_is_found_in_each_kind_of_place() -> Result<()> {
    env(async |env| {
        let mut scene = Scene::of(env).await?;
        let controller = env.controller("").await?;
        let password = scene.plant("the leak");
        assert_eq!(found(&scene, &controller).await?, BTreeSet::new());

        into_objects(&scene.stage, &password).await?;
        // The controller itself says what users call things: keys of its config, their apps.
        let key = serde_json::Value::from(password.as_str());
        std::fs::write(controller.config_path(), format!("{key}: 1\n"))?;
        let spec = json!({ "userName": "clerk", "databaseName": "orders", "appId": password });
        scene.stage.claim("app", spec).await?;
        let told = format!("SELECT '{}'", password.replace('\'', "''"));
        execute(&scene.server.superuser().url(), &told).await?;

        let want = [
            "controller log",
            "metrics",
            "server log",
            "DatabaseClaim annotated",
            "DatabaseClaim stated",
            "DatabaseClaim managed",
            "Secret noted",
            "Lease held",
            "Event told",
        ];
        let want: BTreeSet<String> = want.map(str::to_owned).into();
        wait_for("the leak to be found everywhere", async || {
            let found = found(&scene, &controller).await?;
            anyhow::ensure!(found == want, "found in {found:?}");
            Ok(Some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn row_76_a_planted_password_is_found_in_a_processs_arguments_and_environment() -> Result<()>
{
    let (canary, password) = Canary::planted("the leak");
    let spawn = |arg: &str, value: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", "read line", "sh", arg])
            .env("CANARY", value);
        command.stdin(Stdio::piped()).spawn()
    };
    for (arg, value, place) in [
        (password.as_str(), "", "cmdline"),
        ("", &password, "environ"),
    ] {
        let mut child = spawn(arg, value)?;
        // A process that is just being started shows neither yet.
        let found = wait_for(format!("the leak in {place}"), async || {
            let found = leaks(&places::process(child.id())?, std::slice::from_ref(&canary));
            Ok((!found.is_empty()).then_some(found))
        })
        .await;
        child.kill()?;
        child.wait()?;
        let found = found?;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found.iter().all(|line| line.starts_with(place)),
            "{found:?}"
        );
    }
    Ok(())
}
