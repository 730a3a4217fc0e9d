//! The reconciler of DatabaseClaims: observe, decide, apply, report.

mod admin;
mod apply;
mod claimant;
mod consumers;
mod delete;
mod ignored;
mod inputs;
mod recorded;
mod report;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use api::{claim::DatabaseClaim, names::finalizer};
use engine::{agenda::Agenda, error_class::ErrorClass, schedule};
use kube::{ResourceExt, runtime::controller::Action};
use tracing::Instrument;

use self::report::Outcome;
pub(crate) use self::{
    admin::{dsn as admin_dsn, dsn_of, initial_dsn, rotated_dsn},
    inputs::Inputs,
};
use crate::{
    context::{Context, Scope},
    error::Error,
    objects,
};

/// A pass that takes longer is given up, and its session and lock with it.
const LONGEST_PASS: Duration = Duration::from_mins(2);

/// The kind, as metrics name it.
const KIND: &str = "databaseclaim";

/// Brings one claim to what it asks for, as far as that is possible now. Never fails: what went
/// wrong stands in the claim's status, and decides when it is looked at again.
pub async fn reconcile(claim: Arc<DatabaseClaim>, scope: Arc<Scope>) -> Result<Action, Infallible> {
    scope.is_synced().await;
    let claim = scope.context.memory.freshest(claim);
    if claim.class() != scope.context.settings.class {
        return Ok(Action::await_change());
    }
    let span = tracing::info_span!(
        "claim",
        claim = %format!("{}/{}", claim.namespace().unwrap_or_default(), claim.name_any()),
        uid = claim.metadata.uid.as_deref().unwrap_or_default(),
        generation = claim.metadata.generation,
    );
    let timer = scope.context.metrics.reconcile.start(KIND);
    // Thousands of claims can wait at once, for caches or for a server. What they will need once
    // they go on is boxed here and below, so that a waiting claim is a small one.
    let action = if claim.metadata.deletion_timestamp.is_some() {
        Box::pin(delete::reconcile(&claim, &scope).instrument(span)).await
    } else {
        Box::pin(pass(&claim, &scope).instrument(span)).await
    };
    drop(timer);
    Ok(action)
}

/// One pass over a living claim.
async fn pass(claim: &DatabaseClaim, scope: &Scope) -> Action {
    let context = &scope.context;
    let uid = claim.uid().unwrap_or_default();
    let outcome = match Inputs::of(claim, &scope.context) {
        Ok(inputs) => {
            let now = context.now();
            if let Some(until) = inputs.rests(claim, scope, now) {
                return Action::requeue(schedule::until(now, until));
            }
            match inputs.known(claim, scope).agenda(now) {
                Agenda::Idle { until } => {
                    let again = Box::pin(consumers::follow(claim, scope, &inputs)).await;
                    let until = again.map_or(until, |again| again.min(until));
                    return Action::requeue(schedule::until(context.now(), until));
                }
                Agenda::Work { checks } => {
                    let outcome = Box::pin(work(claim, scope, &inputs, checks)).await;
                    let pause = pause(context, &uid, &outcome);
                    let rest = pause.map(|pause| {
                        inputs.rest(claim, scope, schedule::after(context.now(), pause))
                    });
                    context.memory.update(&uid, |memory| memory.rest = rest);
                    outcome
                }
            }
        }
        Err(err) => Err(err),
    };
    let action = next(claim, scope, &uid, &outcome);
    Box::pin(report::report(claim, scope, outcome)).await;
    action
}

/// How long nothing should happen after this outcome, unless the claim changes.
fn pause(context: &Context, uid: &str, outcome: &Result<Outcome, Error>) -> Option<Duration> {
    match outcome {
        Ok(outcome) => outcome.published.pause(context.now()),
        Err(Error::CircuitOpen { wait, .. }) => Some(*wait),
        Err(err) => err
            .class()
            .retry_after(context.memory.get(uid).attempts + 1),
    }
}

/// Everything that speaks to a server, under its bounds.
async fn work(
    claim: &DatabaseClaim,
    scope: &Scope,
    inputs: &Inputs,
    checks: bool,
) -> Result<Outcome, Error> {
    let context = &scope.context;
    let adding = objects::ensure_finalizer(&context.client, claim, finalizer::CLAIM);
    Box::pin(adding).await?;
    let admin = Box::pin(admin::dsn(context, claim, &inputs.choice.place)).await?;
    let connections = inputs.connections(&context.config.load());
    let waiting = Instant::now();
    let permit = context
        .limits
        .enter(&inputs.circuit(&admin), connections)
        .await?;
    let worker = context.workers.enter().await?;
    context.metrics.reconcile.waited(KIND, waiting.elapsed());
    let working = Instant::now();
    // The circuit learns from the admin's own connection only: what a tenant does to its database
    // or logins must not look like a dead server.
    let session = Box::pin(context.engines.acquire(&admin)).await;
    permit.learn(&session);
    if let Err(Error::Server(err)) = &session
        && err.is_refused_login()
    {
        inputs.doubt(context);
    }
    let pass = Box::pin(apply::apply(claim, scope, inputs, &admin, session?, checks));
    let outcome = tokio::time::timeout(LONGEST_PASS, pass).await;
    let outcome = outcome.unwrap_or(Err(Error::TooLong {
        limit: LONGEST_PASS,
    }));
    drop(worker);
    if outcome.is_ok() {
        context.metrics.rotation.loaded(working.elapsed());
    }
    outcome
}

/// When the claim is looked at again.
fn next(
    claim: &DatabaseClaim,
    scope: &Scope,
    uid: &str,
    outcome: &Result<Outcome, Error>,
) -> Action {
    let (context, now) = (&scope.context, scope.context.now());
    match outcome {
        Ok(outcome) => {
            context.memory.update(uid, |memory| {
                memory.attempts = 0;
                memory.checked_at = Some(now);
            });
            let check = schedule::next_check(now, context.config.load().drift_check_period, uid);
            let generation = outcome.published.stored.generation();
            let asking = consumers::begin(claim, context, uid, generation);
            let until = [outcome.next, asking].into_iter().flatten();
            let until = until.fold(check, Ord::min);
            Action::requeue(schedule::until(now, until))
        }
        Err(err) => {
            let attempts = context
                .memory
                .update(uid, |memory| memory.attempts += 1)
                .attempts;
            let class = err.class();
            if class != ErrorClass::Conflict {
                context.metrics.reconcile.failed(KIND);
            }
            let wait = match err {
                Error::CircuitOpen { wait, .. } => Some(*wait),
                _ => class.retry_after(attempts),
            };
            let error = crate::error::chain(err);
            match class {
                ErrorClass::Bug => tracing::error!(error, class = class.reason(), "pass failed"),
                ErrorClass::Conflict => tracing::debug!(error, "observing again"),
                _ if attempts == 1 => {
                    tracing::warn!(error, class = class.reason(), "pass failed");
                }
                _ => tracing::debug!(error, class = class.reason(), attempts, "pass failed"),
            }
            wait.map_or_else(Action::await_change, |wait| {
                let uid = claim.metadata.uid.as_deref();
                Action::requeue(schedule::jittered(wait, uid.unwrap_or_default()))
            })
        }
    }
}
