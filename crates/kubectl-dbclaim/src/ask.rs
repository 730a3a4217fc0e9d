//! Asks something of a claim by an annotation, and waits until the controller has done it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use api::claim::{DatabaseClaim, Inspection};
use api::conditions::{self, Type};
use api::names::annotation;
use api::role_claim::DbRoleClaim;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::claims::{self, Found, without_opening};
use crate::cluster::Cluster;

const POLL: Duration = Duration::from_millis(250);

/// A value that no question had before.
pub(crate) fn nonce() -> String {
    Timestamp::now().as_nanosecond().to_string()
}

/// Writes an annotation of the object.
pub(crate) async fn ask(
    cluster: &Cluster,
    found: &Found,
    name: &str,
    key: &str,
    value: &str,
) -> Result<()> {
    let annotations = BTreeMap::from([(key, value)]);
    let patch = json!({ "metadata": { "annotations": annotations } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let asked = match found {
        Found::Claim(_) => {
            let claims = cluster.api::<DatabaseClaim>();
            claims.patch_metadata(name, &params, &patch).await.map(drop)
        }
        Found::Role(_) => {
            let role_claims = cluster.api::<DbRoleClaim>();
            let written = role_claims.patch_metadata(name, &params, &patch).await;
            written.map(drop)
        }
    };
    asked.with_context(|| format!("cannot annotate {} {name}", found.kind()))
}

/// What came of waiting.
pub(crate) enum Waited<T> {
    Done(T),
    /// Not in time; what the claim says that holds it up.
    InVain(String),
}

/// Waits until the object shows what is looked for.
pub(crate) async fn until<T>(
    cluster: &Cluster,
    name: &str,
    patience: Duration,
    mut look: impl FnMut(&Found) -> Option<T>,
) -> Result<Waited<T>> {
    let (bar, began) = (bar(name, patience), Instant::now());
    let waited = loop {
        let found = claims::find(cluster, name).await?;
        if let Some(seen) = look(&found) {
            break Waited::Done(seen);
        }
        let obstacle = obstacle(&found);
        if let Some(obstacle) = &obstacle {
            bar.set_message(format!("{name}: {obstacle}"));
        }
        let elapsed = began.elapsed();
        if elapsed >= patience {
            let nobody = || "no controller has acted on it".to_owned();
            break Waited::InVain(obstacle.unwrap_or_else(nobody));
        }
        bar.set_position(millis(elapsed));
        bar.tick();
        sleep(POLL).await;
    };
    bar.finish_and_clear();
    Ok(waited)
}

/// Lets the controller say who is logged in, and what it would do.
pub(crate) async fn inspect(
    cluster: &Cluster,
    found: &Found,
    name: &str,
    patience: Duration,
) -> Result<Waited<Inspection>> {
    let nonce = nonce();
    ask(cluster, found, name, annotation::INSPECT, &nonce).await?;
    until(cluster, name, patience, |found| {
        let inspection = found.inspection()?;
        (inspection.nonce == nonce).then(|| inspection.clone())
    })
    .await
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

/// How much of the patience is over, and what is waited for; shown where standard error is a
/// terminal.
fn bar(name: &str, patience: Duration) -> ProgressBar {
    let bar = ProgressBar::new(millis(patience));
    let template = "[{bar:16}] {elapsed} of {prefix}  {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(format!("{:#}", HumanDuration(patience)));
    bar.set_message(format!("{name}: waiting for the controller"));
    bar
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
