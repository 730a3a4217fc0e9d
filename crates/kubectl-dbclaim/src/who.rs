//! `who`: the sessions of a claim's logins, by pod.

use std::time::Duration;

use anyhow::Result;
use api::claim::{Inspection, RotationStatus, SessionGroup};
use jiff::Timestamp;

use crate::Ended;
use crate::args::Output;
use crate::ask::{self, Waited};
use crate::claims;
use crate::cluster::Cluster;
use crate::output;
use crate::when::between;

pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    patience: Duration,
    output: Output,
) -> Result<Ended> {
    let found = claims::with_logins(cluster, name).await?;
    let inspection = match ask::inspect(cluster, &found, name, patience).await? {
        Waited::Done(inspection) => inspection,
        Waited::InVain(why) => {
            eprintln!("{} {name} gave no answer: {why}", found.kind());
            return Ok(Ended::NotReady);
        }
    };
    match output {
        Output::Json => output::json(&inspection)?,
        Output::Text if inspection.sessions.is_empty() => {
            println!("nobody is logged in with {} {name}", found.kind());
        }
        Output::Text => {
            print!("{}", table(&inspection.sessions, &found.rotation()));
            print!("{}", left_out(&inspection));
        }
    }
    Ok(Ended::Well)
}

/// Sessions in a table, with the number of the credential that their login has.
pub(crate) fn table(sessions: &[SessionGroup], rotation: &RotationStatus) -> String {
    let now = Timestamp::now();
    let dash = || "-".to_owned();
    let rows = sessions.iter().map(|group| {
        let number = credential_of(&group.login, rotation);
        [
            group.login.clone(),
            number.map_or_else(dash, |number| number.to_string()),
            group.count.to_string(),
            group.since.map_or_else(dash, |since| between(since, now)),
            group.address.clone().unwrap_or_else(dash),
            group.pod.clone().unwrap_or_else(dash),
            group.workload.clone().unwrap_or_else(dash),
            group.node.clone().unwrap_or_else(dash),
        ]
    });
    let head = [
        "LOGIN", "NO", "SESSIONS", "AGE", "ADDRESS", "POD", "WORKLOAD", "NODE",
    ];
    output::table(head, &rows.collect::<Vec<_>>(), output::width())
}

/// The published login has the newest credential, the one before it the previous.
fn credential_of(login: &str, rotation: &RotationStatus) -> Option<i64> {
    if rotation.current_login.as_deref() == Some(login) {
        return Some(rotation.generation);
    }
    let is_previous = rotation.previous_login.as_deref() == Some(login);
    is_previous.then_some(rotation.generation - 1)
}

fn left_out(inspection: &Inspection) -> String {
    let told: i64 = inspection.sessions.iter().map(|group| group.count).sum();
    match inspection.session_count - told {
        0 => String::new(),
        more => format!("and {more} sessions more\n"),
    }
}
