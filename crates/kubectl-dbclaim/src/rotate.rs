//! `rotate`: asks for another credential and sees it published.

use std::time::Duration;

use anyhow::Result;
use api::claim::RotationStatus;
use api::names::annotation;
use serde_json::json;

use crate::Ended;
use crate::args::Output;
use crate::ask::{self, Waited};
use crate::claims;
use crate::cluster::Cluster;
use crate::output;

/// Waits for as long as `patience` says, or not at all.
pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    patience: Option<Duration>,
    output: Output,
) -> Result<Ended> {
    let found = claims::with_logins(cluster, name).await?;
    let before = found.rotation();
    let nonce = ask::nonce();
    ask::ask(cluster, &found, name, annotation::ROTATE, &nonce).await?;
    let kind = found.kind();
    let Some(patience) = patience else {
        return answer((kind, name), &before, None, output);
    };
    let waited = ask::until(cluster, name, patience, |found| {
        let now = found.rotation();
        (now.handled_nonce.as_ref() == Some(&nonce)).then_some(now)
    });
    match waited.await? {
        Waited::Done(after) => answer((kind, name), &before, Some(&after), output),
        Waited::InVain(why) => {
            eprintln!("{kind} {name} has not rotated within {patience:?}: {why}");
            eprintln!("it stays asked for; kubectl dbclaim status {name} tells more");
            Ok(Ended::NotReady)
        }
    }
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
