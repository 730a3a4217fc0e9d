//! What a role claim's status and Events say.

use api::{
    claim::Binding,
    conditions::{self, Type, message, reason},
    role_claim::{DbRoleClaim, DbRoleClaimStatus, SchemasStatus, SharedDatabase},
};
use engine::{
    error_class::ErrorClass,
    role_claim::{Ground, Refusal},
    rotation::Step,
};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    Shared,
    schemas::{Outcome, Place},
};
use crate::{
    context::Context,
    copies::{self, Copied},
    error::{Error, chain},
    objects,
    rotation::record,
};

/// Writes what became of the pass.
pub(super) async fn report(
    role_claim: &DbRoleClaim,
    context: &Context,
    outcome: Result<Shared, Error>,
) {
    let now = context.now();
    let events = &context.events;
    match outcome {
        Ok(Shared::Idle(_)) => {}
        Ok(Shared::Copy(copy)) => {
            write(role_claim, context, &copied(role_claim, &copy, now)).await;
            if copy.is_new {
                let note = format!(
                    "Secret {} holds what claim {} publishes",
                    role_claim.secret_name(),
                    source_of(role_claim)
                );
                events.normal(role_claim, "Copied", &note).await;
            }
        }
        Ok(Shared::Own(outcome)) => {
            let status = served(role_claim, &outcome, now);
            let before = role_claim.status.as_ref();
            let before = before.map(|it| it.conditions.as_slice());
            let drifted = record::news_of_drift(before.unwrap_or_default(), &status.conditions);
            write(role_claim, context, &status).await;
            context.hook.reached(Step::Record);
            for happening in &outcome.happenings {
                happening.tell(role_claim, events).await;
            }
            if let Some(note) = drifted {
                events.warning(role_claim, "Drifted", &note).await;
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

/// `err` is why something stays on the server.
pub(super) async fn ended(
    role_claim: &DbRoleClaim,
    context: &Context,
    has_logins: bool,
    err: Option<&Error>,
) {
    let (events, name) = (&context.events, role_claim.name_any());
    if let Some(err) = err {
        let note = format!(
            "on the server of claim {} the logins {name}_user_a and {name}_user_b and role {name}_user, where they were made, stay as they are: {}",
            source_of(role_claim),
            chain(err)
        );
        events.warning(role_claim, "LeftBehind", &note).await;
    } else {
        let note = if has_logins {
            "Secret, logins and role are gone; what they made belongs to the source claim now"
        } else {
            "the Secret goes with the role claim"
        };
        events.normal(role_claim, "Deleted", note).await;
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

/// What both ways of sharing say.
fn settled(role_claim: &DbRoleClaim, ground: Ground, now: Timestamp) -> DbRoleClaimStatus {
    let mut status = role_claim.status.clone().unwrap_or_default();
    let generation = role_claim.metadata.generation;
    status.error = None;
    status.matched_source_claim = Some(source_of(role_claim));
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
    conditions::clear(all, Type::ConnectionIssue);
    match ground {
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

fn copied(role_claim: &DbRoleClaim, copy: &Copied, now: Timestamp) -> DbRoleClaimStatus {
    let mut status = settled(role_claim, copy.ground, now);
    let source = &role_claim.spec.source_database_claim;
    status.source_secret = Some(format!("{}/{}", source.namespace, copy.source.name()));
    let version = Some(copy.source.stored.resource_version.clone());
    // The claim's own pass may have written the copy.
    let is_same = !copy.is_new && status.source_secret_resource_version == version;
    status.source_secret_resource_version = version;
    status.secret_updated_at = status.secret_updated_at.filter(|_| is_same).or(Some(now));
    status.username = copy.found.stored.login().map(|login| login.to_string());
    status.rotation = None;
    status.database = None;
    status.schemas_status = None;
    for type_ in [Type::Rotating, Type::Paused, Type::Degraded, Type::Drifted] {
        conditions::clear(&mut status.conditions, type_);
    }
    let ignored = copies::ignored(role_claim, &copy.found.stored);
    say_ignored(&mut status, role_claim, &ignored, now);
    status
}

fn say_ignored(
    status: &mut DbRoleClaimStatus,
    role_claim: &DbRoleClaim,
    sentences: &[String],
    now: Timestamp,
) {
    let (all, type_) = (&mut status.conditions, Type::FieldsIgnored);
    if sentences.is_empty() {
        conditions::clear(all, type_);
        return;
    }
    let (message, generation) = (sentences.join("; "), role_claim.metadata.generation);
    let reason = reason::NO_EFFECT;
    conditions::set(all, type_, true, reason, message, generation, now);
}

fn served(role_claim: &DbRoleClaim, outcome: &Outcome, now: Timestamp) -> DbRoleClaimStatus {
    let mut status = settled(role_claim, outcome.ground, now);
    let generation = role_claim.metadata.generation;
    status.source_secret = None;
    status.source_secret_resource_version = None;
    status.secret_updated_at = Some(outcome.published.rotated_at);
    status.username = Some(outcome.published.login.to_string());
    status.rotation = Some(record::rotation(
        status.rotation.as_ref(),
        &outcome.published,
        &outcome.retired,
        outcome.times.due,
    ));
    let Place {
        address,
        database,
        owner_role,
    } = outcome.place.clone();
    status.database = Some(SharedDatabase {
        address,
        name: database,
        owner_role,
    });
    let schemas = in_place(outcome);
    if status.schemas_status.as_ref() != Some(&schemas) {
        status.schemas_status = Some(schemas);
        status.schemas_roles_updated_at = Some(now);
    }
    let all = &mut status.conditions;
    let mut say = |type_, said: Option<(&'static str, String)>| match said {
        Some((reason, message)) => {
            conditions::set(all, type_, true, reason, message, generation, now);
        }
        None => conditions::clear(all, type_),
    };
    say(Type::Rotating, record::rotating(&outcome.published));
    let is_paused = outcome.wishes.timing.is_paused;
    say(Type::Paused, is_paused.then(record::paused));
    say(Type::Drifted, outcome.drift.condition());
    if let Some(rights) = &outcome.rights {
        say(Type::Degraded, degraded(&rights.unreachable));
    }
    let (wishes, secret) = (&outcome.wishes, &outcome.published.stored);
    let refused = wishes.timing.asked.refused_revocation(secret.generation());
    let mut ignored = Vec::from_iter(refused);
    ignored.extend(wishes.secret.ignored(wishes.engine, secret));
    say_ignored(&mut status, role_claim, &ignored, now);
    status
}

/// Schemas and roles by name. On MongoDB databases stand for schemas, and nothing for roles.
fn in_place(outcome: &Outcome) -> SchemasStatus {
    let valid = |name: String| (name, "valid".to_owned());
    let grants = &outcome.grants;
    let databases = outcome.wishes.access.roles.iter();
    let databases = databases.filter_map(|wish| wish.database.as_ref());
    SchemasStatus {
        schema_status: grants
            .iter()
            .map(|grant| valid(grant.schema.to_string()))
            .chain(databases.map(|name| valid(name.to_string())))
            .collect(),
        role_status: grants
            .iter()
            .map(|grant| valid(grant.role.to_string()))
            .collect(),
    }
}

fn degraded(unreachable: &[String]) -> Option<(&'static str, String)> {
    (!unreachable.is_empty()).then(|| {
        let message = format!(
            "the admin can't grant rights on objects of other owners: {}",
            unreachable.join(", ")
        );
        (reason::RIGHTS_MISSING, message)
    })
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
    if matches!(err, Error::RoleClaim(Refusal::NoConsent { .. })) {
        // Its logins were taken back.
        status.rotation = None;
        status.database = None;
        status.schemas_status = None;
    }
    status
}
