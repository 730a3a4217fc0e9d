//! What a claim says of itself: conditions that stand still while all is well, Events for what
//! changed and nothing else, labels, and a clear no to what does not exist yet.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::controller::ControllerProcess;
use testkit::env;
use testkit::fault_proxy::{Fault, FaultProxy};
use testkit::wait::wait_for;

use super::owned_database;
use crate::support::{Stage, condition_of, existing, own, rotation_of};

/// An instant that no controller of this test would write by itself.
const LONG_AGO: &str = "2020-02-02T02:02:02Z";

/// How often Events of each reason were told about an object.
async fn told(stage: &Stage, about: &str) -> Result<BTreeMap<String, i32>> {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let mut told = BTreeMap::new();
    for event in events.list(&ListParams::default()).await? {
        let regarding = event.regarding.as_ref();
        if regarding.and_then(|object| object.name.as_deref()) == Some(about) {
            let times = event.series.map_or(1, |series| series.count);
            *told.entry(event.reason.unwrap_or_default()).or_default() += times;
        }
    }
    Ok(told)
}

fn counts(expected: &[(&str, i32)]) -> BTreeMap<String, i32> {
    let owned = expected
        .iter()
        .map(|(reason, times)| ((*reason).to_owned(), *times));
    owned.collect()
}

/// Makes the controller look at a claim again and again, until it has really done so.
async fn passes(stage: &Stage, controller: &ControllerProcess, name: &str) -> Result<()> {
    let series =
        "controller_runtime_reconcile_total{controller=\"databaseclaim\",result=\"success\"}";
    for _ in 0..5 {
        let before = controller.metric(series).await?;
        stage.nudge(name).await?;
        wait_for("another pass", async || {
            Ok((controller.metric(series).await? > before).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Puts the transition times of all conditions back, so that a move can't hide in one second.
async fn backdate(stage: &Stage, name: &str) -> Result<()> {
    let claim = stage.get(name).await?;
    let mut conditions = claim.status.context("a status")?.conditions;
    for condition in &mut conditions {
        condition.last_transition_time = Time(LONG_AGO.parse()?);
    }
    let patch = Patch::Merge(json!({ "status": { "conditions": conditions } }));
    let claims = stage.claims();
    claims
        .patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

#[tokio::test]
async fn row_41_ready_and_synced_stand_still_through_rotations_and_passes() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        backdate(&stage, "shop").await?;
        let long_ago = Time(LONG_AGO.parse()?);
        for _ in 0..3 {
            let claim = stage.rotate("shop").await?;
            for type_ in [Type::Ready, Type::Synced] {
                let condition = condition_of(&claim, type_).context("a condition")?;
                assert_eq!(condition.status, "True");
                assert_eq!(condition.last_transition_time, long_ago, "{type_:?}");
            }
        }
        // A change of the spec moves the generation that was observed, and no more.
        let spec = json!({ "spec": { "appId": "till" } });
        stage.patch("shop", spec).await?;
        let claim = stage.ready("shop").await?;
        let ready = condition_of(&claim, Type::Ready).context("Ready")?;
        assert_eq!(ready.last_transition_time, long_ago);
        let rotation = rotation_of(&claim).context("a rotation")?;
        assert_eq!(rotation.generation, 4);
        passes(&stage, &controller, "shop").await?;
        // Rotations were told once each, passes and proofs not at all.
        let expected = counts(&[("Provisioned", 1), ("Rotated", 3)]);
        assert_eq!(told(&stage, "shop").await?, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_42_an_error_is_told_once_and_so_is_its_end() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let proxy = FaultProxy::start(([127, 0, 0, 1], env.postgres().port())).await?;
        let admin = owned_database(env).await?.port(proxy.port());
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        proxy.set(Fault::Refuse);
        // A connection that was open may end in other words; then it is the same ones each time.
        stage
            .claim_when("shop", "the lasting error", |claim| {
                let ready = condition_of(claim, Type::Ready);
                ready.is_some_and(|ready| ready.message.contains("Connection refused"))
            })
            .await?;
        wait_for("its Event", async || {
            let events = stage.events("shop").await?;
            let mut notes = events.iter().map(|(_, note)| note);
            Ok(notes
                .any(|note| note.contains("Connection refused"))
                .then_some(()))
        })
        .await?;
        backdate(&stage, "shop").await?;
        let first = told(&stage, "shop").await?;
        let failed = "controller_runtime_reconcile_errors_total{controller=\"databaseclaim\"}";
        let before = controller.metric(failed).await?;
        wait_for("more attempts", async || {
            stage.nudge("shop").await?;
            let attempts = controller.metric(failed).await?;
            ensure!(attempts > before, "{attempts} failed passes");
            Ok(Some(()))
        })
        .await?;
        let claim = stage.get("shop").await?;
        let ready = condition_of(&claim, Type::Ready).context("Ready")?;
        assert_eq!(ready.last_transition_time, Time(LONG_AGO.parse()?));
        assert_eq!(told(&stage, "shop").await?, first);
        proxy.set(Fault::None);
        stage.ready("shop").await?;
        stage.event("shop", "Recovered").await?;
        passes(&stage, &controller, "shop").await?;
        let mut expected = first;
        expected.insert("Recovered".to_owned(), 1);
        assert_eq!(told(&stage, "shop").await?, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_23_the_managed_by_label_is_the_originals_and_marks_what_is_ours() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        let secret = stage.secrets().get("shop").await?;
        let key = "app.kubernetes.io/managed-by";
        assert_eq!(secret.labels()[key], "db-controller");
        let before = stage.secret("shop").await?;
        // Who takes the label off takes the Secret; it is theirs until the label is back.
        let labelled = |value: Value| json!({ "metadata": { "labels": { key: value } } });
        stage.patch_secret("shop", labelled(Value::Null)).await?;
        let blocked = stage.condition("shop", Type::Ready, "Blocked").await?;
        assert!(
            blocked.message.contains("Secret shop"),
            "{}",
            blocked.message
        );
        assert_eq!(stage.secret("shop").await?, before);
        stage
            .patch_secret("shop", labelled("db-controller".into()))
            .await?;
        stage.ready("shop").await?;
        assert_eq!(stage.secret("shop").await?, before);
        stage.event("shop", "Recovered").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_94_token_login_is_refused_by_naming_its_key() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("authSource: secret\n").await?;
        let mut options = env
            .controller_options("region: us-east-1\nauthSource: aws\n")
            .await?;
        options.env = vec![("RUST_BACKTRACE".to_owned(), "0".to_owned())];
        let refused = env.start_controller(options).await;
        let words = format!("{:#}", refused.err().context("it starts")?);
        assert!(
            words.contains("line 2") && words.contains("authSource"),
            "{words}"
        );
        // While running, the last good file stays.
        std::fs::write(controller.config_path(), "authSource: aws\n")?;
        wait_for("the reload to be refused", async || {
            let log = controller.log()?;
            let is_refused = log.contains("config file refused") && log.contains("authSource");
            Ok(is_refused.then_some(()))
        })
        .await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        Ok(())
    })
    .await
}
