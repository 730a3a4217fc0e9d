//! `pause` and `resume`: the rotation timer.

use anyhow::{Context, Result};
use api::claim::DatabaseClaim;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::Ended;
use crate::args::Output;
use crate::claims::{self, Found};
use crate::cluster::Cluster;
use crate::output;

pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    is_paused: bool,
    output: Output,
) -> Result<Ended> {
    if let Found::Role(role_claim) = claims::find(cluster, name).await? {
        let source = &role_claim.spec.source_database_claim;
        anyhow::bail!(
            "{name} is a role claim and keeps the time of claim {} in namespace {}: name that",
            source.name,
            source.namespace
        );
    }
    // Unset rather than false: what was not said before is not said after.
    let wish = is_paused.then_some(true);
    let patch = json!({ "spec": { "rotation": { "paused": wish } } });
    let written = cluster
        .api::<DatabaseClaim>()
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    written.with_context(|| format!("cannot change claim {name}"))?;
    match output {
        Output::Json => output::json(&json!({ "claim": name, "isPaused": is_paused }))?,
        Output::Text if is_paused => {
            println!("claim {name} is paused: no rotation until kubectl dbclaim resume {name}");
        }
        Output::Text => println!("claim {name} rotates again"),
    }
    Ok(Ended::Well)
}
