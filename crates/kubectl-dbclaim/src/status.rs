//! `status`: all that one claim says of itself.

use anyhow::Result;
use api::claim::DatabaseClaim;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::Ended;
use crate::args::Output;
use crate::claims::{self, Summary, without_opening};
use crate::cluster::Cluster;
use crate::output;
use crate::when::between;

pub(crate) async fn run(cluster: &Cluster, name: &str, output: Output) -> Result<Ended> {
    let claim = claims::get(cluster, name).await?;
    let summary = Summary::of_claim(&claim);
    match output {
        Output::Json => output::json(&serde_json::json!({
            "summary": &summary, "status": &claim.status,
        }))?,
        Output::Text => {
            let width = output::width();
            println!("claim {}/{}", summary.namespace, claim.name_any());
            for (what, words) in lines(&claim, &summary, Timestamp::now()) {
                println!("{}", output::cut(&format!("  {what:<12}{words}"), width));
            }
        }
    }
    Ok(match summary.ready {
        Some(true) => Ended::Well,
        _ => Ended::NotReady,
    })
}

fn lines(claim: &DatabaseClaim, summary: &Summary, now: Timestamp) -> Vec<(String, String)> {
    let status = claim.status.clone().unwrap_or_default();
    let mut lines = Vec::new();
    let mut say = |what: &str, words: Option<String>| {
        lines.extend(words.map(|words| (what.to_owned(), words)));
    };
    let ready = match summary.ready {
        Some(true) => "True".to_owned(),
        Some(false) => format!("False, {}", summary.remark()),
        None => summary.remark(),
    };
    say("ready", Some(ready));
    let server = status.server.unwrap_or_default();
    let active = status.active_db.unwrap_or_default();
    let address = Some(server.address).filter(|address| !address.is_empty());
    let version = active
        .dbversion
        .map(|version| format!(", version {version}"));
    say(
        "server",
        address.map(|address| {
            let name = server
                .name
                .map(|name| format!("{name}, "))
                .unwrap_or_default();
            format!("{name}{address}{}", version.unwrap_or_default())
        }),
    );
    let owner = server.owner_role.map(|owner| format!(", owner {owner}"));
    let database = active.connection_info.and_then(|info| info.database_name);
    say(
        "database",
        database.map(|database| format!("{database}{}", owner.unwrap_or_default())),
    );
    say("secret", Some(summary.secret.clone()));
    let age = summary.rotated_at.map(|at| between(at, now));
    say(
        "login",
        summary.login.as_ref().map(|login| {
            let generation = summary.generation.unwrap_or_default();
            format!(
                "{login}, generation {generation}, since {}",
                age.unwrap_or_default()
            )
        }),
    );
    let rotation = status.rotation.unwrap_or_default();
    say(
        "previous",
        rotation
            .previous_login
            .map(|login| format!("{login}, still usable")),
    );
    let next = summary
        .next_rotation_at
        .map(|at| format!("in {}", between(now, at)));
    say(
        "rotates",
        next.or_else(|| summary.is_paused.then(|| "not, it is paused".to_owned())),
    );
    say("pods", status.consumers.map(|consumers| consumers.summary));
    for condition in status.conditions {
        let is_usual = ["Ready", "Synced"].contains(&condition.type_.as_str());
        if !is_usual && condition.status == "True" {
            let words = without_opening(&condition.message);
            say(
                "but",
                Some(format!(
                    "{}, {}: {words}",
                    condition.type_, condition.reason
                )),
            );
        }
    }
    lines
}
