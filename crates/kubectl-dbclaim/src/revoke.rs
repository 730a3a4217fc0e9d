//! `revoke`: a credential that leaked is replaced at once, and who is logged in with it is sent
//! away. Sessions of the other login stay.

use std::time::Duration;

use anyhow::{Result, bail};
use api::claim::{Revocation, RotationStatus, SessionGroup};
use api::names::annotation;
use serde_json::json;

use crate::Ended;
use crate::args::Output;
use crate::ask::{self, Waited};
use crate::claims;
use crate::cluster::Cluster;
use crate::output;
use crate::who;

/// What leaked, and what is to be done about it.
pub(crate) struct Wish {
    /// Number of the credential; unset, the published one.
    pub(crate) generation: Option<i64>,
    /// Only shows who would be sent away.
    pub(crate) is_dry: bool,
    pub(crate) patience: Duration,
}

/// A claim, as it is spoken of.
struct Named<'a> {
    kind: &'a str,
    name: &'a str,
}

pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    wish: Wish,
    output: Output,
) -> Result<Ended> {
    let found = claims::with_logins(cluster, name).await?;
    let (before, kind) = (found.rotation(), found.kind());
    let named = Named { kind, name };
    let newest = before.generation;
    let generation = wish.generation.unwrap_or(newest);
    if !(1..=newest).contains(&generation) {
        bail!("{kind} {name} has no credential {generation}; its newest is {newest}");
    }
    if wish.is_dry {
        let sessions = match ask::inspect(cluster, &found, name, wish.patience).await? {
            Waited::Done(inspection) => inspection.sessions,
            Waited::InVain(why) => {
                eprintln!("{kind} {name} gave no answer: {why}");
                return Ok(Ended::NotReady);
            }
        };
        return preview(&named, generation, &before, sessions, output);
    }
    let value = generation.to_string();
    ask::ask(cluster, &found, name, annotation::REVOKE, &value).await?;
    let waited = ask::until(cluster, name, wish.patience, |found| {
        let now = found.rotation();
        let revocation = now.revocation.clone();
        let done = revocation.filter(|done| done.generation >= generation)?;
        Some((done, now))
    });
    match waited.await? {
        Waited::Done((done, now)) => answer(&named, generation, &done, &now, output),
        Waited::InVain(why) => {
            eprintln!("credential {generation} of {kind} {name} is not revoked yet: {why}");
            eprintln!("it stays asked for; kubectl dbclaim status {name} tells more");
            Ok(Ended::NotReady)
        }
    }
}

/// The login that has this credential, or none where its password was replaced since.
fn login_of(generation: i64, rotation: &RotationStatus) -> Option<&str> {
    let login = match rotation.generation - generation {
        0 => &rotation.current_login,
        1 => &rotation.previous_login,
        _ => &None,
    };
    login.as_deref()
}

fn preview(
    Named { kind, name }: &Named<'_>,
    generation: i64,
    rotation: &RotationStatus,
    mut sessions: Vec<SessionGroup>,
    output: Output,
) -> Result<Ended> {
    let login = login_of(generation, rotation);
    sessions.retain(|group| Some(group.login.as_str()) == login);
    let count: i64 = sessions.iter().map(|group| group.count).sum();
    match (output, login) {
        (Output::Json, _) => output::json(&json!({
            "claim": name, "generation": generation, "login": login, "sessions": sessions,
        }))?,
        (Output::Text, None) => {
            println!("credential {generation} of {kind} {name} works no more: it was replaced");
        }
        (Output::Text, Some(login)) => {
            println!(
                "credential {generation} of {kind} {name} is login {login}'s; {}",
                counted(count, "would be cut")
            );
            if !sessions.is_empty() {
                print!("{}", who::table(&sessions, rotation));
            }
        }
    }
    Ok(Ended::Well)
}

fn answer(
    Named { kind, name }: &Named<'_>,
    generation: i64,
    done: &Revocation,
    now: &RotationStatus,
    output: Output,
) -> Result<Ended> {
    let published = now.current_login.clone().unwrap_or_default();
    if output == Output::Json {
        output::json(&json!({
            "claim": name,
            "generation": generation,
            "login": done.login,
            "sessionsEnded": done.sessions_ended,
            "published": { "login": published, "generation": now.generation },
        }))?;
        return Ok(Ended::Well);
    }
    let said = match &done.login {
        Some(login) => format!(
            "login {login} is shut, {}",
            counted(done.sessions_ended, "cut")
        ),
        None => "another had taken its place already".to_owned(),
    };
    println!("credential {generation} of {kind} {name} is revoked: {said}");
    println!(
        "published is login {published}, credential {}",
        now.generation
    );
    Ok(Ended::Well)
}

fn counted(count: i64, what: &str) -> String {
    match count {
        1 => format!("1 session {what}"),
        count => format!("{count} sessions {what}"),
    }
}
