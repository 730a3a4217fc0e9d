//! The reconciler of DbRoleClaims: another team's access to the database of a claim.

mod report;

use std::{convert::Infallible, sync::Arc};

use api::{names::finalizer, role_claim::DbRoleClaim};
use engine::{
    error_class::ErrorClass,
    role_claim::{self, Refusal},
    schedule,
};
use kube::{
    ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};
use tracing::Instrument;

use crate::{
    context::Context,
    copies::{self, Copied},
    error::{Error, chain},
    objects,
};

/// The kind, as metrics name it.
const KIND: &str = "dbroleclaim";

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
        Box::pin(end(&role_claim, &context).instrument(span)).await
    } else {
        Box::pin(pass(&role_claim, &context).instrument(span)).await
    };
    Ok(action)
}

/// One pass over a living role claim.
async fn pass(role_claim: &DbRoleClaim, context: &Context) -> Action {
    let outcome = share(role_claim, context).await;
    let action = next(role_claim, context, &outcome);
    report::report(role_claim, context, outcome).await;
    action
}

/// Shares the login of the source, as far as its owner consents.
async fn share(role_claim: &DbRoleClaim, context: &Context) -> Result<Copied, Error> {
    if !role_claim::is_copy(role_claim) {
        return Err(Refusal::NoSchemas.into());
    }
    let named = &role_claim.spec.source_database_claim;
    let source = ObjectRef::new(&named.name).within(&named.namespace);
    let name = format!("{}/{}", named.namespace, named.name);
    let copied = match context.claim(&source) {
        Some(source) => copies::bring(context, role_claim, &source).await,
        None => Err(Refusal::NoSource {
            claim: name.clone(),
        }
        .into()),
    };
    if let Err(Error::RoleClaim(refusal)) = &copied {
        let has_consent = !matches!(refusal, Refusal::NoConsent { .. });
        // Of another claim it is a copy that nobody asks for any more.
        let is_over = |source: &str| !has_consent || source != name;
        if copies::withdraw(context, role_claim, is_over).await? {
            report::withdrawn(role_claim, context, refusal).await;
        }
    }
    copied
}

/// When the role claim is looked at again; changes of its source and Secrets come by themselves.
fn next(role_claim: &DbRoleClaim, context: &Context, outcome: &Result<Copied, Error>) -> Action {
    let uid = role_claim.metadata.uid.as_deref().unwrap_or_default();
    match outcome {
        Ok(_) => {
            context.memory.update(uid, |memory| memory.attempts = 0);
            let now = context.now();
            let period = context.config.load().drift_check_period;
            let check = schedule::next_check(now, period, uid);
            Action::requeue(schedule::until(now, check))
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
            match class.retry_after(attempts) {
                Some(wait) => Action::requeue(schedule::jittered(wait, uid)),
                None => Action::await_change(),
            }
        }
    }
}

/// The end of a role claim. Its Secret goes with it, by its owner reference; a finalizer, as those
/// that the original made have one, holds nothing up.
async fn end(role_claim: &DbRoleClaim, context: &Context) -> Action {
    let uid = role_claim.uid().unwrap_or_default();
    context.memory.forget(&uid);
    let is_other = |name: &&String| *name != finalizer::ROLE_CLAIM;
    let finalizers = role_claim.finalizers();
    let rest: Vec<_> = finalizers.iter().filter(is_other).cloned().collect();
    if rest.len() == finalizers.len() {
        return Action::await_change();
    }
    report::ended(role_claim, context).await;
    match objects::set_finalizers(&context.client, role_claim, &rest).await {
        Ok(()) => Action::await_change(),
        Err(Error::Kubernetes {
            source: kube::Error::Api(status),
            ..
        }) if status.code == 404 => Action::await_change(),
        Err(err) => {
            tracing::debug!(error = chain(&err), "finalizer not removed yet");
            Action::requeue(std::time::Duration::from_secs(1))
        }
    }
}
