//! Follows a publication to the pods that use it: asks their proxies which credential they have,
//! until all have the newest.
//!
//! We ask, nobody reports: so a pod needs no right and no token, and one that lies lies about
//! itself alone. A claim whose pods are all current costs nothing.

mod ask;
mod pods;

use std::{sync::Arc, time::Duration};

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
    context::{Context, Scope},
    error::{Error, chain},
};

/// So many pods of one claim are asked at once.
const AT_ONCE: usize = 16;

/// A kubelet brings a changed Secret within one and a half minutes; who lacks it after this lags.
const PATIENCE: Duration = Duration::from_mins(3);

/// Where the questions about one claim stand.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    asked: u32,
    due: Timestamp,
    /// Whether an Event named those who lag.
    is_told: bool,
}

impl Round {
    fn first(due: Timestamp) -> Self {
        Self {
            asked: 0,
            due,
            is_told: false,
        }
    }
}

/// Lets the pods be asked soon: something was done to the claim, and perhaps published.
pub(super) fn begin(context: &Context, uid: &str) -> Option<Timestamp> {
    let due = schedule::after(context.now(), consumers::pause(0));
    let round = context
        .settings
        .follows_consumers
        .then(|| Round::first(due));
    context.memory.update(uid, |memory| memory.round = round);
    round.map(|round| round.due)
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
    // After a restart status tells where we were.
    let unfinished = || {
        let is_asked = context.settings.follows_consumers;
        let are_current = consumers::are_current(status.consumers.as_ref(), generation);
        (is_asked && !are_current).then(|| Round::first(now))
    };
    let mut round = known.or_else(unfinished)?;
    if round.due > now {
        return Some(round.due);
    }
    let are_current = match tally(claim, context, inputs, generation).await {
        Ok(consumers) => {
            let are_current = consumers::are_current(consumers.as_ref(), generation);
            let mut status = status.clone();
            status.consumers = consumers;
            let _ = report::write(claim, context, &status).await;
            if !are_current && !round.is_told && is_late(&status, now) {
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
    };
    round.asked = round.asked.saturating_add(1);
    round.due = schedule::after(context.now(), consumers::pause(round.asked));
    let next = (!are_current).then_some(round);
    context.memory.update(uid, |memory| memory.round = next);
    next.map(|round| round.due)
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
    let questions = consumers.into_iter().map(|Consumer { pod, address }| {
        let asking = Arc::clone(&context.asking);
        async move {
            let permit = asking.acquire_owned().await;
            let answer = ask::ask(address).await;
            drop(permit);
            (pod, answer)
        }
    });
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
