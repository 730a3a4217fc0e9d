//! DbRoleClaims are stored and answered, and not acted on yet: their condition says so.

use std::{convert::Infallible, sync::Arc};

use api::{
    conditions::{self, Type, reason},
    role_claim::DbRoleClaim,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};

use crate::{context::Context, error::chain};

pub async fn reconcile(
    claim: Arc<DbRoleClaim>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    if claim.class() != context.settings.class {
        return Ok(Action::await_change());
    }
    let mut status = claim.status.clone().unwrap_or_default();
    let message = "role claims are not served by this version of the controller; what the original made stays as it is";
    conditions::set(
        &mut status.conditions,
        Type::Ready,
        false,
        reason::NOT_SUPPORTED,
        message,
        claim.metadata.generation,
        context.now(),
    );
    if claim.status.as_ref() == Some(&status) {
        return Ok(Action::await_change());
    }
    let claims = Api::<DbRoleClaim>::namespaced(
        context.client.clone(),
        &claim.namespace().unwrap_or_default(),
    );
    let patch = Patch::Merge(serde_json::json!({ "status": { "conditions": status.conditions } }));
    let written = claims
        .patch_status(&claim.name_any(), &PatchParams::default(), &patch)
        .await;
    if let Err(err) = written {
        tracing::debug!(error = chain(&err), "status of the role claim not written");
    }
    Ok(Action::await_change())
}
