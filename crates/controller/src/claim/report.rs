//! One status patch if anything changed, then Events for what happened.
//! Status is computed from what was applied, never from what was planned.

use api::{
    claim::{
        Binding, ConnectionInfo, Database, DatabaseClaim, DatabaseClaimStatus, ServerStatus,
        Status, StoredDatabase, StoredSource, db_state,
    },
    conditions::{self, Type, message, reason},
};
use engine::{
    ErrorClass,
    address::Address,
    decide::{ContentsPlan, NoElevation},
    drift::Drift,
    names::DatabaseName,
    place::Place,
    rotation::Step,
    source,
    wishes::{Mode, Wishes},
};
use jiff::Timestamp;

use super::{ignored::ignored_fields, inputs::Inputs};
use crate::{
    context::{Context, Scope},
    error::{Error, chain},
    objects,
    rotation::{Happening, Published, Retired, record},
};

/// What a pass left behind.
pub(super) struct Outcome {
    pub version: String,
    pub address: Address,
    pub database: DatabaseName,
    /// Whether this pass made the database.
    pub database_created: bool,
    /// What was found inside the database; `None` where nobody looked.
    pub contents: Option<ContentsPlan>,
    /// Earlier owner roles of which a login is still on the server.
    pub former_roles: Vec<String>,
    /// MongoDB: the databases in which logins of the claim are defined, where each is.
    pub auth_databases: Vec<String>,
    /// MongoDB: what the server is known to lack.
    pub unsupported: Vec<String>,
    /// Why the server gives nobody the power of a superuser, if it does not.
    pub refused_elevation: Option<NoElevation>,
    pub retired: Retired,
    /// When the rotation timer fires; `None` while it is paused.
    pub due: Option<Timestamp>,
    pub next: Option<Timestamp>,
    pub published: Published,
    /// What differs on the server and stays so.
    pub drift: Drift,
    pub happenings: Vec<Happening>,
}

/// Writes what became of the pass.
pub(super) async fn report(claim: &DatabaseClaim, scope: &Scope, outcome: Result<Outcome, Error>) {
    let context = &scope.context;
    let now = context.now();
    match outcome {
        Ok(outcome) => {
            // A claim that settled has inputs; only a reload in between can take them away.
            let Ok(inputs) = Inputs::of(claim, &scope.context) else {
                return;
            };
            let status = settled(claim, &inputs, &outcome, now);
            let before = claim.status.as_ref().map(|it| it.conditions.as_slice());
            let drifted = record::news_of_drift(before.unwrap_or_default(), &status.conditions);
            let has_recovered = !is_ready(claim) && claim.status.is_some();
            if write(claim, context, &status).await.is_ok() {
                context.hook.reached(Step::Record);
            }
            if has_recovered && outcome.happenings.is_empty() {
                context
                    .events
                    .normal(claim, "Recovered", "the claim is ready again")
                    .await;
            }
            for happening in &outcome.happenings {
                happening.tell(claim, &context.events).await;
            }
            if let Some(note) = drifted {
                context.events.warning(claim, "Drifted", &note).await;
            }
        }
        Err(err) if err.class() == ErrorClass::Conflict && !is_lasting(claim, scope) => {}
        // The first failure said it already; that nobody asks the server now is no news.
        Err(Error::CircuitOpen { .. }) if has_connection_issue(claim) => {}
        Err(err) => {
            context.metrics.errors.count(err.class());
            let status = failed(claim, &err, now);
            let is_news = previous_error(claim) != status.error;
            let _ = write(claim, context, &status).await;
            if is_news {
                let note = status.error.clone().unwrap_or_default();
                context
                    .events
                    .warning(claim, err.class().reason(), &note)
                    .await;
            }
        }
    }
}

fn is_ready(claim: &DatabaseClaim) -> bool {
    let status = claim.status.as_ref();
    status.is_some_and(|status| conditions::is_true(&status.conditions, Type::Ready))
}

/// Whether attempts fail for longer than a race would explain.
fn is_lasting(claim: &DatabaseClaim, scope: &Scope) -> bool {
    let uid = claim.metadata.uid.as_deref().unwrap_or_default();
    scope.context.memory.get(uid).attempts > 5
}

fn has_connection_issue(claim: &DatabaseClaim) -> bool {
    let status = claim.status.as_ref();
    status.is_some_and(|status| conditions::is_true(&status.conditions, Type::ConnectionIssue))
}

fn previous_error(claim: &DatabaseClaim) -> Option<String> {
    claim.status.as_ref()?.error.clone()
}

/// Records that the owner role has the name that is wished for, before anything can fail.
pub(super) async fn renamed(
    claim: &DatabaseClaim,
    context: &Context,
    wishes: &Wishes,
) -> Result<(), Error> {
    let mut status = claim.status.clone().unwrap_or_default();
    let server = status.server.get_or_insert_default();
    server.owner_role = Some(wishes.role.to_string());
    server.former_owner_roles = wishes
        .former_roles
        .iter()
        .map(ToString::to_string)
        .collect();
    write(claim, context, &status).await
}

/// Patches the status if it differs.
pub(super) async fn write(
    claim: &DatabaseClaim,
    context: &Context,
    status: &DatabaseClaimStatus,
) -> Result<(), Error> {
    let before = claim.status.clone().unwrap_or_default();
    let written = objects::patch_status(&context.client, claim, &before, status).await;
    match &written {
        Ok(object) => object
            .iter()
            .for_each(|object| context.memory.wrote(object)),
        Err(err) => tracing::warn!(error = chain(err), "status not written"),
    }
    written.map(drop)
}

/// The status of a claim that could not be brought to what it asks for. What works goes on
/// working, and everything else that status says stays true.
fn failed(claim: &DatabaseClaim, err: &Error, now: Timestamp) -> DatabaseClaimStatus {
    let mut status = claim.status.clone().unwrap_or_default();
    let (class, text) = (err.class(), chain(err));
    let generation = claim.metadata.generation;
    let all = &mut status.conditions;
    let message = format!("{}{text}", message::ISSUE);
    conditions::set(
        all,
        Type::Ready,
        false,
        class.reason(),
        message,
        generation,
        now,
    );
    if class == ErrorClass::Unavailable {
        let reason = class.reason();
        conditions::set(
            all,
            Type::ConnectionIssue,
            true,
            reason,
            &text,
            generation,
            now,
        );
    } else {
        conditions::clear(all, Type::ConnectionIssue);
    }
    if status.server.is_none() {
        let message = message::PROVISIONING;
        conditions::set(
            all,
            Type::Synced,
            false,
            reason::PROVISIONING,
            message,
            generation,
            now,
        );
    }
    status.error = Some(text);
    status
}

fn settled(
    claim: &DatabaseClaim,
    inputs: &Inputs,
    outcome: &Outcome,
    now: Timestamp,
) -> DatabaseClaimStatus {
    let mut status = claim.status.clone().unwrap_or_default();
    status.error = None;
    status.active_db = Some(active(claim, inputs, outcome, now));
    status.rotation = Some(record::rotation(
        status.rotation.as_ref(),
        &outcome.published,
        &outcome.retired,
        outcome.due,
    ));
    status.binding = Some(Binding {
        name: inputs.wishes.secret.name.clone(),
    });
    status.server = Some(server(&status, inputs, outcome));
    set_conditions(&mut status, claim, inputs, outcome, now);
    status
}

fn active(claim: &DatabaseClaim, inputs: &Inputs, outcome: &Outcome, now: Timestamp) -> Status {
    let before = claim
        .status
        .as_ref()
        .and_then(|status| status.active_db.clone());
    let before = before.unwrap_or_default();
    let info = ConnectionInfo {
        host_name: Some(outcome.address.primary.host.clone()),
        port: Some(outcome.address.primary.port.to_string()),
        database_name: Some(outcome.database.to_string()),
        user_name: Some(outcome.published.login.to_string()),
        password: None,
        ssl_mode: Some(outcome.address.ssl_mode.to_string()),
    };
    let is_same = before.connection_info.as_ref() == Some(&info);
    let state = match inputs.choice.mode {
        Mode::Adopt | Mode::Share | Mode::Administer => db_state::USING_EXISTING,
        Mode::Create => db_state::READY,
    };
    Status {
        db_create_at: before
            .db_create_at
            .or_else(|| outcome.database_created.then_some(now)),
        connection_updated_at: before
            .connection_updated_at
            .filter(|_| is_same)
            .or(Some(now)),
        connection_info: Some(info),
        user_updated_at: Some(outcome.published.rotated_at),
        dbversion: Some(outcome.version.clone()),
        type_: Some(inputs.wishes.secret.engine.clone()),
        db_state: Some(state.to_owned()),
        source_data_from: match inputs.choice.mode {
            Mode::Adopt => stored_source(claim).or(before.source_data_from),
            Mode::Create | Mode::Share | Mode::Administer => None,
        },
        ..before
    }
}

/// The source as it may be stored: without a password.
fn stored_source(claim: &DatabaseClaim) -> Option<StoredSource> {
    let from = claim.spec.source_data_from.as_ref()?;
    let Database { dsn, secret_ref } = from.database.clone()?;
    Some(StoredSource {
        type_: Some(from.type_.clone()),
        database: Some(StoredDatabase {
            dsn: dsn.as_deref().and_then(source::without_password),
            secret_ref,
        }),
    })
}

fn server(before: &DatabaseClaimStatus, inputs: &Inputs, outcome: &Outcome) -> ServerStatus {
    let before = before.server.clone().unwrap_or_default();
    let name = match &inputs.choice.place {
        Place::Server(server) => Some(server.name.clone()),
        Place::Source { .. } => None,
    };
    ServerStatus {
        name,
        address: outcome.address.to_string(),
        database_created: before.database_created || outcome.database_created,
        owner_role: Some(inputs.wishes.role.to_string()),
        former_owner_roles: outcome.former_roles.clone(),
        auth_databases: outcome.auth_databases.clone(),
        unsupported: outcome.unsupported.clone(),
    }
}

fn set_conditions(
    status: &mut DatabaseClaimStatus,
    claim: &DatabaseClaim,
    inputs: &Inputs,
    outcome: &Outcome,
    now: Timestamp,
) {
    let generation = claim.metadata.generation;
    let all = &mut status.conditions;
    let mut say = |type_, said: Option<(&'static str, String)>| match said {
        Some((reason, message)) => {
            conditions::set(all, type_, true, reason, message, generation, now);
        }
        None => conditions::clear(all, type_),
    };
    say(
        Type::Ready,
        Some((reason::AVAILABLE, message::READY.to_owned())),
    );
    say(
        Type::Synced,
        Some((reason::AVAILABLE, message::SYNCED.to_owned())),
    );
    say(Type::ConnectionIssue, None);
    say(Type::Rotating, record::rotating(&outcome.published));
    say(
        Type::Paused,
        inputs.wishes.timing.is_paused.then(record::paused),
    );
    say(Type::Drifted, outcome.drift.condition());
    // Where nobody looked inside the database, what was found there before still stands.
    if let Some(contents) = &outcome.contents {
        say(Type::Degraded, degraded(contents));
    }
    let ignored = ignored_fields(claim, inputs, outcome);
    say(
        Type::FieldsIgnored,
        ignored.map(|text| (reason::NO_EFFECT, text)),
    );
    say(Type::NeedsMigrate, needs_migrate(claim, inputs));
    say(Type::Insecure, insecure(claim));
}

/// The admin's password in the claim itself is seen by everybody who may read claims.
fn insecure(claim: &DatabaseClaim) -> Option<(&'static str, String)> {
    let source = claim.spec.source_data_from.as_ref()?.database.as_ref()?;
    let holds_password = source
        .dsn
        .as_deref()
        .is_some_and(source::dsn_holds_password);
    holds_password.then(|| {
        let message = "sourceDataFrom.database.dsn holds the admin's password; move it to a Secret and name that in secretRef";
        (reason::PASSWORD_IN_SPEC, message.to_owned())
    })
}

fn degraded(contents: &ContentsPlan) -> Option<(&'static str, String)> {
    if !contents.missing_extensions.is_empty() {
        let message = format!(
            "extensions that the server does not have, the admin may not create, or the server's policy does not permit: {}",
            contents.missing_extensions.join(", ")
        );
        return Some((reason::EXTENSIONS_MISSING, message));
    }
    (!contents.unreachable_objects.is_empty()).then(|| {
        let message = format!(
            "the admin can't grant rights on objects of other owners: {}",
            contents.unreachable_objects.join(", ")
        );
        (reason::RIGHTS_MISSING, message)
    })
}

fn needs_migrate(claim: &DatabaseClaim, inputs: &Inputs) -> Option<(&'static str, String)> {
    let asks_for_own = inputs.choice.needs_migration.then(|| {
        let message =
            "useExistingSource is false: the source is used in place until the claim is migrated";
        (reason::SOURCE_ADOPTED, message.to_owned())
    });
    let has_version = claim
        .spec
        .db_version
        .as_ref()
        .is_some_and(|version| !version.is_empty());
    let is_taken_over = claim
        .status
        .as_ref()
        .is_some_and(|status| conditions::is_true(&status.conditions, Type::NeedsMigrate));
    asks_for_own.or_else(|| {
        (is_taken_over && !has_version && inputs.choice.mode == Mode::Create).then(|| {
            (
                reason::AVAILABLE,
                "No database version specified".to_owned(),
            )
        })
    })
}
