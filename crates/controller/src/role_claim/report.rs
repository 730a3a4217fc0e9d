//! What a role claim's status and Events say.

use api::{
    claim::Binding,
    conditions::{self, Type, message, reason},
    role_claim::{DbRoleClaim, DbRoleClaimStatus},
};
use engine::{
    error_class::ErrorClass,
    role_claim::{self, Ground, Refusal},
};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    context::Context,
    copies::Copied,
    error::{Error, chain},
    objects,
};

/// Writes what became of the pass.
pub(super) async fn report(
    role_claim: &DbRoleClaim,
    context: &Context,
    outcome: Result<Copied, Error>,
) {
    let now = context.now();
    let events = &context.events;
    match outcome {
        Ok(copy) => {
            write(role_claim, context, &settled(role_claim, &copy, now)).await;
            if copy.is_new {
                let note = format!(
                    "Secret {} holds what claim {} publishes",
                    role_claim.secret_name(),
                    source_of(role_claim)
                );
                events.normal(role_claim, "Copied", &note).await;
            }
        }
        Err(err) if err.class() == ErrorClass::Conflict => {
            tracing::debug!(error = chain(&err), "observing again");
        }
        Err(err) => {
            context.metrics.errors.count(err.class());
            let status = failed(role_claim, &err, now);
            let before = role_claim.status.as_ref();
            let is_news = before.and_then(|before| before.error.as_ref()) != status.error.as_ref();
            write(role_claim, context, &status).await;
            if is_news {
                let (class, error) = (err.class().reason(), chain(&err));
                tracing::warn!(error, class, "pass failed");
                events.warning(role_claim, class, &error).await;
            }
        }
    }
}

pub(super) async fn withdrawn(role_claim: &DbRoleClaim, context: &Context, why: &Refusal) {
    let note = format!("Secret {} was removed: {why}", role_claim.secret_name());
    context.events.warning(role_claim, "Withdrawn", &note).await;
}

pub(super) async fn ended(role_claim: &DbRoleClaim, context: &Context) {
    let name = role_claim.name_any();
    if role_claim::is_copy(role_claim) {
        let note = "the Secret goes with the role claim";
        context.events.normal(role_claim, "Deleted", note).await;
    } else {
        let note = format!(
            "on the server of claim {} the logins {name}_user_a and {name}_user_b, where they were made, stay as they are",
            source_of(role_claim)
        );
        context
            .events
            .warning(role_claim, "LeftBehind", &note)
            .await;
    }
}

fn source_of(role_claim: &DbRoleClaim) -> String {
    let source = &role_claim.spec.source_database_claim;
    format!("{}/{}", source.namespace, source.name)
}

async fn write(role_claim: &DbRoleClaim, context: &Context, status: &DbRoleClaimStatus) {
    let before = role_claim.status.clone().unwrap_or_default();
    let written = objects::patch_status(&context.client, role_claim, &before, status).await;
    if let Err(err) = written {
        tracing::warn!(error = chain(&err), "status not written");
    }
}

fn settled(role_claim: &DbRoleClaim, copy: &Copied, now: Timestamp) -> DbRoleClaimStatus {
    let mut status = role_claim.status.clone().unwrap_or_default();
    let generation = role_claim.metadata.generation;
    let source = &role_claim.spec.source_database_claim;
    status.error = None;
    status.matched_source_claim = Some(source_of(role_claim));
    status.source_secret = Some(format!("{}/{}", source.namespace, copy.source.name()));
    let version = Some(copy.source.stored.resource_version.clone());
    // The claim's own pass may have written the copy.
    let is_same = !copy.is_new && status.source_secret_resource_version == version;
    status.source_secret_resource_version = version;
    status.secret_updated_at = status.secret_updated_at.filter(|_| is_same).or(Some(now));
    status.username = copy.found.stored.login().map(|login| login.to_string());
    status.binding = Some(Binding {
        name: role_claim.secret_name().to_owned(),
    });
    let all = &mut status.conditions;
    for (type_, message) in [
        (Type::Ready, message::READY),
        (Type::Synced, message::SYNCED),
    ] {
        conditions::set(
            all,
            type_,
            true,
            reason::AVAILABLE,
            message,
            generation,
            now,
        );
    }
    match copy.ground {
        Ground::Consent => conditions::clear(all, Type::Insecure),
        Ground::AnyNamespace => {
            let message = format!(
                "claim {} does not list this namespace in spec.roleClaimNamespaces; it is let in because the controller admits every namespace",
                source_of(role_claim)
            );
            let reason = reason::NO_CONSENT;
            conditions::set(all, Type::Insecure, true, reason, message, generation, now);
        }
    }
    status
}

/// What was published goes on standing there, unless it says otherwise.
fn failed(role_claim: &DbRoleClaim, err: &Error, now: Timestamp) -> DbRoleClaimStatus {
    let mut status = role_claim.status.clone().unwrap_or_default();
    let generation = role_claim.metadata.generation;
    let (reason, text) = (err.class().reason(), chain(err));
    let message = format!("{}{text}", message::ISSUE);
    let all = &mut status.conditions;
    conditions::set(all, Type::Ready, false, reason, message, generation, now);
    status.error = Some(text);
    status
}
