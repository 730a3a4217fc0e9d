//! `rotate`: asks for another credential and sees it published.

use std::time::Duration;

use anyhow::{Context, Result};
use api::claim::{DatabaseClaim, RotationStatus};
use api::conditions::{self, Type};
use api::names::annotation;
use api::role_claim::DbRoleClaim;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::Ended;
use crate::args::Output;
use crate::claims::{self, Found, without_opening};
use crate::cluster::Cluster;
use crate::output;

const POLL: Duration = Duration::from_millis(250);

/// Waits for as long as `patience` says, or not at all.
pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    patience: Option<Duration>,
    output: Output,
) -> Result<Ended> {
    let found = claims::with_logins(cluster, name).await?;
    let before = found.rotation();
    let nonce = Timestamp::now().as_nanosecond().to_string();
    let patch = json!({ "metadata": { "annotations": { annotation::ROTATE: nonce } } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let kind = found.kind();
    let asked = match found {
        Found::Claim(_) => {
            let claims = cluster.api::<DatabaseClaim>();
            claims.patch_metadata(name, &params, &patch).await.map(drop)
        }
        Found::Role(_) => {
            let role_claims = cluster.api::<DbRoleClaim>();
            role_claims
                .patch_metadata(name, &params, &patch)
                .await
                .map(drop)
        }
    };
    asked.with_context(|| format!("cannot ask {kind} {name} to rotate"))?;
    let Some(patience) = patience else {
        return answer((kind, name), &before, None, output);
    };
    let bar = bar(name);
    let deadline = Instant::now() + patience;
    let ended = loop {
        let claim = claims::find(cluster, name).await?;
        let now = claim.rotation();
        if now.handled_nonce.as_ref() == Some(&nonce) {
            break Ok(now);
        }
        let obstacle = obstacle(&claim);
        if let Some(obstacle) = &obstacle {
            bar.set_message(format!("{name}: {obstacle}"));
        }
        if Instant::now() >= deadline {
            break Err(obstacle);
        }
        bar.tick();
        sleep(POLL).await;
    };
    bar.finish_and_clear();
    match ended {
        Ok(after) => answer((kind, name), &before, Some(&after), output),
        Err(obstacle) => {
            let why = obstacle.unwrap_or_else(|| "no controller has acted on it".to_owned());
            eprintln!("{kind} {name} has not rotated within {patience:?}: {why}");
            eprintln!("it stays asked for; kubectl dbclaim status {name} tells more");
            Ok(Ended::NotReady)
        }
    }
}

/// What the claim says that holds it up.
fn obstacle(claim: &Found) -> Option<String> {
    let all = claim.conditions();
    let rotating = conditions::find(all, Type::Rotating).filter(|found| found.status == "True");
    let ready = conditions::find(all, Type::Ready).filter(|found| found.status != "True");
    let found = rotating.or(ready)?;
    let words = without_opening(&found.message);
    Some(format!("{}: {words}", found.reason))
}

/// Shown where standard error is a terminal.
fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_message(format!("{name}: waiting for the controller"));
    bar
}

fn answer(
    (kind, name): (&str, &str),
    before: &RotationStatus,
    after: Option<&RotationStatus>,
    output: Output,
) -> Result<Ended> {
    let login = |rotation: &RotationStatus| rotation.current_login.clone();
    match (output, after) {
        (Output::Json, _) => output::json(&json!({
            "claim": name,
            "isDone": after.is_some(),
            "from": login(before),
            "to": after.and_then(login),
            "generation": after.map(|after| after.generation),
        }))?,
        (Output::Text, None) => println!("{kind} {name} is asked to rotate"),
        (Output::Text, Some(after)) => println!(
            "{kind} {name} has rotated: {} -> {}, generation {}",
            login(before).unwrap_or_else(|| "nothing".to_owned()),
            login(after).unwrap_or_default(),
            after.generation
        ),
    }
    Ok(Ended::Well)
}
