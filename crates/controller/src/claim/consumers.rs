//! Follows a publication to the pods that use it: asks their proxies which credential they have,
//! until all have the newest.
//!
//! We ask, nobody reports: so a pod needs no right and no token, and one that lies lies about
//! itself alone. A claim whose pods are all current costs nothing.

mod ask;
mod pods;

use std::time::Duration;

use api::claim::{ConsumersStatus, DatabaseClaim, DatabaseClaimStatus};
use engine::{
    consumers::{self, Answer},
    schedule,
};
use futures::StreamExt;
use jiff::Timestamp;
use kube::ResourceExt;

use self::pods::Consumer;
use super::{inputs::Inputs, report};
use crate::{
    context::{Context, Round, Scope},
    error::{Error, chain},
};

/// So many pods of one claim are asked at once.
const AT_ONCE: usize = 32;

/// A kubelet brings a changed Secret within one and a half minutes; who lacks it after this lags.
const PATIENCE: Duration = Duration::from_mins(3);

/// While too many claims' pods are asked, the others wait.
const TURN: Duration = Duration::from_secs(5);

/// Lets the pods be asked soon: something was done to the claim, and perhaps published. Returns when.
pub(super) fn begin(
    claim: &DatabaseClaim,
    context: &Context,
    uid: &str,
    generation: i64,
) -> Option<Timestamp> {
    if !context.settings.follows_consumers {
        return None;
    }
    let known = context.memory.get(uid).round;
    let soon = schedule::after(context.now(), consumers::FIRST_PAUSE);
    let round = match known.filter(|round| round.generation == generation) {
        Some(round) if round.due.is_some() => round,
        Some(round) => Round {
            asked: consumers::LAST_QUESTION,
            due: Some(soon),
            ..round
        },
        None => Round::new(generation, asked_before(claim, generation), soon),
    };
    context
        .memory
        .update(uid, |memory| memory.round = Some(round));
    round.due
}

/// Who was asked by an earlier process is asked once more, not chased again.
fn asked_before(claim: &DatabaseClaim, generation: i64) -> u32 {
    let status = claim.status.as_ref();
    let consumers = status.and_then(|status| status.consumers.as_ref());
    let were_asked = consumers.is_some_and(|consumers| consumers.generation == generation);
    if were_asked {
        consumers::LAST_QUESTION
    } else {
        0
    }
}

/// Asks the claim's pods, if it is time. Returns when they should be asked again.
pub(super) async fn follow(
    claim: &DatabaseClaim,
    scope: &Scope,
    inputs: &Inputs,
) -> Option<Timestamp> {
    let context = &scope.context;
    let (uid, now) = (&inputs.wishes.claim.uid, context.now());
    let status = claim.status.as_ref()?;
    let generation = status.rotation.as_ref()?.generation;
    let known = context.memory.get(uid).round;
    // After a restart status tells whether there is anything left to ask.
    let unfinished = || {
        let are_current = consumers::are_current(status.consumers.as_ref(), generation);
        let is_wanted = context.settings.follows_consumers && !are_current;
        is_wanted.then(|| Round::new(generation, asked_before(claim, generation), now))
    };
    let known = known.filter(|round| round.generation == generation);
    let mut round = known.or_else(unfinished)?;
    if round.due? > now {
        return round.due;
    }
    // Nobody waits for others' pods here: this claim may soon have better to do.
    if let Ok(_turn) = context.asking.try_acquire() {
        let are_current = ask_all(claim, context, inputs, &mut round).await;
        round.asked = round.asked.saturating_add(1);
        let pause = consumers::pause(round.asked).filter(|_| !are_current);
        round.due = pause.map(|pause| schedule::after(context.now(), pause));
    } else {
        round.due = Some(schedule::after(now, TURN));
    }
    context
        .memory
        .update(uid, |memory| memory.round = Some(round));
    round.due
}

/// One question to each pod, and what the claim's status says of the answers. Returns whether all
/// are current.
async fn ask_all(
    claim: &DatabaseClaim,
    context: &Context,
    inputs: &Inputs,
    round: &mut Round,
) -> bool {
    let generation = round.generation;
    match tally(claim, context, inputs, generation).await {
        Ok(consumers) => {
            let are_current = consumers::are_current(consumers.as_ref(), generation);
            let mut status = claim.status.clone().unwrap_or_default();
            status.consumers = consumers;
            let _ = report::write(claim, context, &status).await;
            if !are_current && !round.is_told && is_late(&status, context.now()) {
                round.is_told = true;
                warn(claim, context, &status).await;
            }
            are_current
        }
        Err(err) => {
            if round.asked == 0 {
                let error = chain(&err);
                tracing::warn!(error, "it is not known which pods have the credential");
            }
            false
        }
    }
}

/// What all pods say.
async fn tally(
    claim: &DatabaseClaim,
    context: &Context,
    inputs: &Inputs,
    generation: i64,
) -> Result<Option<ConsumersStatus>, Error> {
    let namespace = claim.namespace().unwrap_or_default();
    let (client, secret) = (&context.client, &inputs.wishes.secret.name);
    let consumers = pods::consumers(client, &namespace, &claim.name_any(), secret).await?;
    let questions = consumers
        .into_iter()
        .map(async |Consumer { pod, address }| (pod, ask::ask(address).await));
    let answers: Vec<(String, Answer)> = futures::stream::iter(questions)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    Ok(consumers::tally(generation, answers))
}

fn is_late(status: &DatabaseClaimStatus, now: Timestamp) -> bool {
    let rotation = status.rotation.as_ref();
    let published = rotation.and_then(|rotation| rotation.last_rotation_at);
    published.is_some_and(|at| schedule::after(at, PATIENCE) <= now)
}

async fn warn(claim: &DatabaseClaim, context: &Context, status: &DatabaseClaimStatus) {
    let Some(consumers) = &status.consumers else {
        return;
    };
    let mut note = format!("pods: {}", consumers.summary);
    for (what, names) in [
        ("with another credential", &consumers.lagging),
        ("without an answer", &consumers.unreachable),
    ] {
        if !names.is_empty() {
            note = format!("{note}; {what}: {}", names.join(", "));
        }
    }
    context.events.warning(claim, "ConsumersLag", &note).await;
}
