//! The end of a role claim, or of its time at a source. The finalizer always goes: neither a
//! source that is gone nor a dead server holds it, and an Event says what stays behind.

use std::sync::Arc;

use api::{claim::DatabaseClaim, names::finalizer, role_claim::DbRoleClaim};
use engine::{
    error_class::ErrorClass,
    role_claim::{Refusal, is_copy},
};
use kube::{
    ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};

use super::{
    report,
    schemas::{self, Place},
};
use crate::{
    context::Context,
    error::{Error, chain},
    objects,
};

/// Attempts at a server that does not answer, before what is there is left behind.
const PATIENCE: u32 = 4;

/// A copy's Secret goes with the role claim, by its owner reference. Logins of its own are removed
/// from the server first.
pub(super) async fn reconcile(role_claim: &DbRoleClaim, context: &Context) -> Action {
    let uid = role_claim.uid().unwrap_or_default();
    if !objects::has_finalizer(role_claim, finalizer::ROLE_CLAIM) {
        context.memory.forget(&uid);
        return Action::await_change();
    }
    let has_logins = !is_copy(role_claim) || role_claim.has_logins();
    let outcome = if has_logins {
        part(role_claim, context).await
    } else {
        Ok(())
    };
    if let Err(err) = &outcome {
        let attempts = context
            .memory
            .update(&uid, |memory| memory.farewells += 1)
            .farewells;
        let may_pass = !matches!(
            err.class(),
            ErrorClass::InvalidSpec | ErrorClass::Bug | ErrorClass::Blocked
        );
        if may_pass && attempts < PATIENCE {
            let wait = ErrorClass::Transient.retry_after(attempts);
            return Action::requeue(wait.unwrap_or_default());
        }
    }
    report::ended(role_claim, context, has_logins, outcome.err().as_ref()).await;
    let (client, name) = (&context.client, finalizer::ROLE_CLAIM);
    match objects::drop_finalizer(client, role_claim, name).await {
        Ok(()) => {
            context.memory.forget(&uid);
            Action::await_change()
        }
        Err(err) => {
            tracing::debug!(error = chain(&err), "finalizer not removed yet");
            Action::requeue(std::time::Duration::from_secs(1))
        }
    }
}

async fn part(role_claim: &DbRoleClaim, context: &Context) -> Result<(), Error> {
    let named = &role_claim.spec.source_database_claim;
    let source = ObjectRef::new(&named.name).within(&named.namespace);
    let Some(source) = context.claim(&source) else {
        let claim = format!("{}/{}", named.namespace, named.name);
        return Err(Refusal::NoSource { claim }.into());
    };
    schemas::part(role_claim, context, &source).await
}

/// Takes back the logins of all role claims at a source whose database is about to go.
pub(crate) async fn end_all(context: &Context, source: &DatabaseClaim) -> Result<(), Error> {
    let (namespace, name) = (source.namespace().unwrap_or_default(), source.name_any());
    let is_of =
        |role_claim: &DbRoleClaim| role_claim.has_logins() && role_claim.shares(&namespace, &name);
    let caches = context.role_claims.get().into_iter().flatten();
    let all: Vec<_> = caches.flat_map(|cache| cache.state_filter(is_of)).collect();
    for role_claim in all {
        schemas::part(&role_claim, context, source).await?;
        let why = Refusal::NoSource {
            claim: format!("{namespace}/{name}"),
        };
        report::withdrawn(&role_claim, context, &why).await;
    }
    Ok(())
}

/// The source where the role claim had its logins before, where that is another server: on the
/// same one they are the same logins.
pub(super) fn former_source(
    role_claim: &DbRoleClaim,
    context: &Context,
    place: &Place,
) -> Option<Arc<DatabaseClaim>> {
    let status = role_claim.status.as_ref()?;
    let recorded = status.database.as_ref()?;
    let (namespace, name) = status.matched_source_claim.as_ref()?.split_once('/')?;
    let is_elsewhere = recorded.address != place.address && !role_claim.shares(namespace, name);
    let former = ObjectRef::new(name).within(namespace);
    is_elsewhere.then(|| context.claim(&former)).flatten()
}
