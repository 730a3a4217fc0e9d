//! `status`: all that one claim says of itself.

use anyhow::Result;
use api::claim::DatabaseClaim;
use jiff::Timestamp;

use crate::Ended;
use crate::args::Output;
use crate::claims::{self, Found, Summary, without_opening};
use crate::cluster::Cluster;
use crate::output;
use crate::when::between;

pub(crate) async fn run(cluster: &Cluster, name: &str, output: Output) -> Result<Ended> {
    let found = claims::find(cluster, name).await?;
    let summary = found.summary();
    let status = match &found {
        Found::Claim(claim) => serde_json::to_value(&claim.status)?,
        Found::Role(claim) => serde_json::to_value(&claim.status)?,
    };
    match output {
        Output::Json => output::json(&serde_json::json!({
            "summary": &summary, "status": status,
        }))?,
        Output::Text => {
            let width = output::width();
            println!("{} {}/{}", found.kind(), summary.namespace, summary.name);
            for (what, words) in lines(&found, &summary, Timestamp::now()) {
                println!("{}", output::cut(&format!("  {what:<12}{words}"), width));
            }
        }
    }
    Ok(match summary.ready {
        Some(true) => Ended::Well,
        _ => Ended::NotReady,
    })
}

/// Where the logins are: server and database.
fn place(found: &Found) -> [Option<String>; 2] {
    match found {
        Found::Claim(claim) => place_of_claim(claim),
        Found::Role(role_claim) => {
            let status = role_claim.status.clone().unwrap_or_default();
            let database = status.database.as_ref();
            let owner = database.and_then(|database| database.owner_role.clone());
            let owner = owner.map(|owner| format!(", owner {owner}"));
            [
                database.map(|database| database.address.clone()),
                database.map(|it| format!("{}{}", it.name, owner.unwrap_or_default())),
            ]
        }
    }
}

fn place_of_claim(claim: &DatabaseClaim) -> [Option<String>; 2] {
    let status = claim.status.clone().unwrap_or_default();
    let server = status.server.unwrap_or_default();
    let active = status.active_db.unwrap_or_default();
    let address = Some(server.address).filter(|address| !address.is_empty());
    let version = active
        .dbversion
        .map(|version| format!(", version {version}"));
    let name = server.name.map(|name| format!("{name}, "));
    let (name, version) = (name.unwrap_or_default(), version.unwrap_or_default());
    let owner = server.owner_role.map(|owner| format!(", owner {owner}"));
    let database = active.connection_info.and_then(|info| info.database_name);
    [
        address.map(|address| format!("{name}{address}{version}")),
        database.map(|database| format!("{database}{}", owner.unwrap_or_default())),
    ]
}

/// What a role claim may do, schema by schema.
fn rights(found: &Found) -> Option<String> {
    let Found::Role(role_claim) = found else {
        return None;
    };
    let map = role_claim.spec.schema_role_map.iter().flatten();
    let map: Vec<_> = map
        .map(|(schema, role)| format!("{schema}: {role}"))
        .collect();
    (!map.is_empty()).then(|| map.join(", "))
}

fn lines(found: &Found, summary: &Summary, now: Timestamp) -> Vec<(String, String)> {
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
    say("shares", summary.source.clone());
    let [server, database] = place(found);
    say("server", server);
    say("database", database);
    say("rights", rights(found));
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
    let rotation = found.rotation();
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
    if let Found::Claim(claim) = found {
        let consumers = claim.status.as_ref().and_then(|it| it.consumers.as_ref());
        say("pods", consumers.map(|consumers| consumers.summary.clone()));
    }
    for condition in found.conditions() {
        let is_usual = ["Ready", "Synced"].contains(&condition.type_.as_str());
        if !is_usual && condition.status == "True" {
            let words = without_opening(&condition.message);
            let words = format!("{}, {}: {words}", condition.type_, condition.reason);
            // A list has a line for each of its entries, or the last would be cut off.
            let mut parts = words.split("; ");
            say("but", parts.next().map(str::to_owned));
            for part in parts {
                say("", Some(format!("  {part}")));
            }
        }
    }
    lines
}
