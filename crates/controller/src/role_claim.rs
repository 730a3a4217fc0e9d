//! The reconciler of DbRoleClaims: another team's access to the database of a claim. It shares the
//! claim's login, or has logins of its own with the rights that its `schemarolemap` names.

mod end;
mod report;
mod schemas;
mod tenant;

use std::{convert::Infallible, sync::Arc};

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim};
use engine::{
    error_class::ErrorClass,
    role_claim::{self, Refusal},
    schedule,
};
use jiff::Timestamp;
use kube::{
    ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};
use tracing::Instrument;

pub(crate) use self::end::end_all;
use self::schemas::{Outcome, Served};
use crate::{
    context::Context,
    copies::{self, Copied},
    error::Error,
};

/// The kind, as metrics name it.
const KIND: &str = "dbroleclaim";

/// What a pass came to.
enum Shared {
    Copy(Box<Copied>),
    Own(Box<Outcome>),
    Idle(Timestamp),
}

/// Brings one role claim to what it asks for. Never fails: what went wrong stands in its status,
/// and decides when it is looked at again.
pub async fn reconcile(
    role_claim: Arc<DbRoleClaim>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    context.is_synced().await;
    if role_claim.class() != context.settings.class {
        return Ok(Action::await_change());
    }
    let span = tracing::info_span!(
        "role claim",
        claim = %format!("{}/{}", role_claim.namespace().unwrap_or_default(), role_claim.name_any()),
        uid = role_claim.metadata.uid.as_deref().unwrap_or_default(),
    );
    let _timer = context.metrics.reconcile.start(KIND);
    let action = if role_claim.metadata.deletion_timestamp.is_some() {
        Box::pin(end::reconcile(&role_claim, &context).instrument(span)).await
    } else {
        Box::pin(pass(&role_claim, &context).instrument(span)).await
    };
    Ok(action)
}

/// One pass over a living role claim.
async fn pass(role_claim: &DbRoleClaim, context: &Context) -> Action {
    let outcome = Box::pin(share(role_claim, context)).await;
    let action = next(role_claim, context, &outcome);
    report::report(role_claim, context, outcome).await;
    action
}

/// Shares the database of the source, as far as its owner consents.
async fn share(role_claim: &DbRoleClaim, context: &Context) -> Result<Shared, Error> {
    let named = &role_claim.spec.source_database_claim;
    let name = format!("{}/{}", named.namespace, named.name);
    let source = ObjectRef::new(&named.name).within(&named.namespace);
    let source = context.claim(&source);
    // What goes is given to nobody any more.
    let source = source.filter(|source| source.metadata.deletion_timestamp.is_none());
    let shared = match &source {
        Some(source) if role_claim::is_copy(role_claim) => copy(role_claim, context, source).await,
        Some(source) => Box::pin(own(role_claim, context, source)).await,
        None => Err(Refusal::NoSource {
            claim: name.clone(),
        }
        .into()),
    };
    if let Err(Error::RoleClaim(refusal)) = &shared {
        let has_consent = !matches!(refusal, Refusal::NoConsent { .. });
        // Of another claim it is a copy that nobody asks for any more.
        let is_over = |source: &str| !has_consent || source != name;
        let is_withdrawn = match &source {
            Some(source) if !has_consent && role_claim.has_logins() => {
                schemas::part(role_claim, context, source).await?;
                true
            }
            _ => copies::withdraw(context, role_claim, is_over).await?,
        };
        if is_withdrawn {
            report::withdrawn(role_claim, context, refusal).await;
        }
    }
    shared
}

/// A copy of what the source publishes. Logins that the role claim had before are taken back once
/// nobody reads of them any more.
async fn copy(
    role_claim: &DbRoleClaim,
    context: &Context,
    source: &DatabaseClaim,
) -> Result<Shared, Error> {
    let copied = copies::bring(context, role_claim, source).await?;
    if role_claim.has_logins() {
        schemas::leave(role_claim, context, source).await?;
    }
    Ok(Shared::Copy(Box::new(copied)))
}

/// Logins of its own. Those at another source, where the role claim was before, are taken back
/// once the new ones are published.
async fn own(
    role_claim: &DbRoleClaim,
    context: &Context,
    source: &DatabaseClaim,
) -> Result<Shared, Error> {
    let outcome = match Box::pin(schemas::serve(role_claim, context, source)).await? {
        Served::Idle(until) => return Ok(Shared::Idle(until)),
        Served::Worked(outcome) => outcome,
    };
    if let Some(former) = end::former_source(role_claim, context, &outcome.place) {
        schemas::leave(role_claim, context, &former).await?;
    }
    Ok(Shared::Own(outcome))
}

/// When the role claim is looked at again; changes of its source and Secrets come by themselves.
fn next(role_claim: &DbRoleClaim, context: &Context, outcome: &Result<Shared, Error>) -> Action {
    let uid = role_claim.metadata.uid.as_deref().unwrap_or_default();
    let now = context.now();
    let check = schedule::next_check(now, context.config.load().drift_check_period, uid);
    let until = match outcome {
        Ok(Shared::Idle(until)) => *until,
        Ok(Shared::Copy(_)) => check,
        Ok(Shared::Own(outcome)) => outcome.times.next.map_or(check, |next| next.min(check)),
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
            return match wait {
                Some(wait) => Action::requeue(schedule::jittered(wait, uid)),
                None => Action::await_change(),
            };
        }
    };
    context.memory.update(uid, |memory| {
        memory.attempts = 0;
        if !matches!(outcome, Ok(Shared::Idle(_))) {
            memory.checked_at = Some(now);
        }
    });
    Action::requeue(schedule::until(now, until))
}
