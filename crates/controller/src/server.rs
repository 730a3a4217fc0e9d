//! The reconciler of DatabaseServers: does the admin get in, what version, what may it do. Where it
//! is wished, the admin's credential is kept and rotated.

mod access;
mod admin;
mod initial;
mod keeper;
mod report;

use std::{convert::Infallible, sync::Arc, time::Duration};

use api::{
    conditions::{self, Type, reason},
    server::{DatabaseServer, DatabaseServerStatus, ServerUsage},
};
use engine::{
    ErrorClass,
    address::Engine,
    catalog::{Catalog, Question},
    dsn::Dsn,
    names::DatabaseName,
    place,
    rotation::Step,
    schedule,
};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};

pub use self::access::Keyring;
pub(crate) use self::access::log_in;
use self::admin::Kept;
use crate::{
    context::Context,
    engines::Session,
    error::{Error, chain},
    limits::Permit,
    tripwire, usage,
};

/// How often a server that is well is looked at.
const LOOK: Duration = Duration::from_mins(10);

/// How soon one is looked at whose admin's first login is to be shut.
const SOON: Duration = Duration::from_secs(15);

pub async fn reconcile(
    server: Arc<DatabaseServer>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let context = &context;
    // A count over half a list would be written, and corrected a moment later.
    context.is_synced().await;
    let uid = server.uid().unwrap_or_default();
    let now = context.now();
    // The instants are fixed on the clock, so a restart looks at no server that is well.
    let since = context
        .memory
        .get(&uid)
        .checked_at
        .unwrap_or(context.started_at);
    let next = schedule::next_check(since, LOOK, &uid);
    let is_doubted = context.memory.get(&uid).attempts > 0;
    let is_idle = is_settled(&server) && !is_doubted && !admin::is_due(&server, now);
    if is_idle && next > now {
        let watched = tripwire::look(context, &server, now).await;
        let status = server.status.clone().unwrap_or_default();
        let mut counted = DatabaseServerStatus {
            usage: used(context, &server),
            ..status
        };
        tripwire::report(&mut counted, &watched, server.metadata.generation, now);
        let _ = write(context, &server, &counted).await;
        let pause = tripwire::pause(context, &server);
        return Ok(Action::requeue(schedule::until(now, next).min(pause)));
    }
    let seen = Box::pin(look(context, &server)).await;
    if lacks_consent(&seen) && is_judged(&server) {
        // Another class's controller serves it. Two that differ would write for ever.
        return Ok(Action::requeue(LOOK));
    }
    let was_ready = is_ready(server.status.as_ref());
    let mut status = status(&server, &seen, now);
    status.usage = used(context, &server);
    let kept = seen.as_ref().ok().and_then(|seen| seen.kept.as_ref());
    report::say(&mut status, &server, kept, now);
    if seen.is_ok() {
        let watched = tripwire::look(context, &server, now).await;
        tripwire::report(&mut status, &watched, server.metadata.generation, now);
    }
    if write(context, &server, &status).await.is_ok() && kept.is_some() {
        context.hook.reached(Step::Record);
    }
    match seen {
        Ok(seen) => {
            report::tell(context, &server, seen.kept.as_ref()).await;
            context.memory.update(&uid, |memory| {
                memory.attempts = 0;
                memory.checked_at = Some(now);
            });
            if !was_ready {
                context
                    .events
                    .normal(&*server, "Ready", "the admin logs in")
                    .await;
            }
            let is_waiting = initial::is_about_to_be_shut(&server, now) || has_published(&seen);
            let wait = if is_waiting { SOON } else { LOOK };
            Ok(Action::requeue(wait.min(tripwire::pause(context, &server))))
        }
        Err(err) => {
            let attempts = context
                .memory
                .update(&uid, |memory| memory.attempts += 1)
                .attempts;
            if was_ready || attempts == 1 {
                context
                    .events
                    .warning(&*server, err.class().reason(), &chain(&err))
                    .await;
            }
            let wait = err.class().retry_after(attempts);
            Ok(wait.map_or_else(Action::await_change, Action::requeue))
        }
    }
}

/// Whether this look published another credential of the admin.
fn has_published(seen: &Seen) -> bool {
    let kept = seen.kept.as_ref();
    kept.is_some_and(|kept| kept.as_ref().is_ok_and(|kept| !kept.happenings.is_empty()))
}

/// What a look at a server found.
struct Seen {
    catalog: Catalog,
    /// What became of the admin's credential, where it is rotated.
    kept: Option<Result<Kept, Error>>,
}

async fn look(context: &Context, server: &DatabaseServer) -> Result<Seen, Error> {
    let (place, permit) = enter(context, server).await?;
    let seen = ask(context, server, &place).await;
    permit.learn(&seen);
    let (admin, session, catalog) = seen?;
    let kept = match server.spec.admin_rotation {
        Some(_) if admin::is_kept_here(server, &place) => {
            Some(admin::keep(context, server, &place, (&admin, session), &catalog).await)
        }
        _ => None,
    };
    Ok(Seen { catalog, kept })
}

/// The server as the object describes it, and the right to speak to it.
pub(crate) async fn enter(
    context: &Context,
    server: &DatabaseServer,
) -> Result<(place::Server, Permit), Error> {
    let config = context.config.load();
    let known = place::Known {
        config: &config,
        servers: &[],
        namespace_labels: &std::collections::BTreeMap::new(),
        own_namespace: &context.settings.namespace,
    };
    if Engine::of_type(&server.spec.engine).is_none() {
        return Err(place::Error::Engine(server.spec.engine.clone()).into());
    }
    let place = place::of_object(server, &known)?;
    let connections = place
        .max_connections
        .unwrap_or(config.max_connections_per_server);
    let address = place.address.to_string();
    let permit = context.limits.enter(&address, connections).await?;
    Ok((place, permit))
}

async fn ask(
    context: &Context,
    server: &DatabaseServer,
    place: &place::Server,
) -> Result<(Dsn, Session, Catalog), Error> {
    let uid = server.uid().unwrap_or_default();
    let (admin, mut session) = log_in(context, place, &uid).await?;
    let database: DatabaseName = admin.database.clone();
    let question = Question {
        roles: Vec::new(),
        logins: Vec::new(),
        database,
        others: Vec::new(),
        copies: Vec::new(),
    };
    let catalog = session.observe(&question).await?;
    Ok((admin, session, catalog))
}

fn is_ready(status: Option<&DatabaseServerStatus>) -> bool {
    status.is_some_and(|status| conditions::is_true(&status.conditions, Type::Ready))
}

/// Whether somebody said of the server as it is now that it is ready, or why not.
fn is_judged(server: &DatabaseServer) -> bool {
    let status = server.status.as_ref();
    let ready = status.and_then(|status| conditions::find(&status.conditions, Type::Ready));
    ready.is_some_and(|ready| ready.observed_generation == server.metadata.generation)
}

fn is_settled(server: &DatabaseServer) -> bool {
    is_judged(server) && is_ready(server.status.as_ref())
}

fn lacks_consent(seen: &Result<Seen, Error>) -> bool {
    matches!(seen, Err(Error::Place(place::Error::AdminSecret { .. })))
}

/// What claims have on the server.
fn used(context: &Context, server: &DatabaseServer) -> Option<ServerUsage> {
    let mut all = usage::of_servers(context)?;
    Some(all.remove(&server.name_any()).unwrap_or_default())
}

fn status(
    server: &DatabaseServer,
    seen: &Result<Seen, Error>,
    now: Timestamp,
) -> DatabaseServerStatus {
    let mut status = server.status.clone().unwrap_or_default();
    let generation = server.metadata.generation;
    let engine = Engine::of_type(&server.spec.engine).unwrap_or(Engine::Postgres);
    let all = &mut status.conditions;
    match without_effect(server, engine) {
        Some(said) => {
            let (type_, reason) = (Type::FieldsIgnored, reason::NO_EFFECT);
            conditions::set(all, type_, true, reason, said, generation, now);
        }
        None => conditions::clear(all, Type::FieldsIgnored),
    }
    match seen {
        Ok(Seen { catalog, .. }) => {
            let missing = missing_rights(engine, catalog);
            let is_able = missing.is_empty();
            let (reason, message) = if is_able {
                (
                    reason::AVAILABLE,
                    "the admin logs in and has the rights it needs".to_owned(),
                )
            } else {
                (
                    ErrorClass::Forbidden.reason(),
                    format!("the admin lacks {}", missing.join(", ")),
                )
            };
            conditions::set(all, Type::Ready, is_able, reason, message, generation, now);
            status.version = Some(catalog.version_text(engine));
            status.capabilities = capabilities(catalog);
        }
        Err(err) => {
            let reason = err.class().reason();
            conditions::set(all, Type::Ready, false, reason, chain(err), generation, now);
        }
    }
    status
}

/// Fields that do nothing on a server of this engine, with why.
fn without_effect(server: &DatabaseServer, engine: Engine) -> Option<String> {
    let quotas = server.spec.quotas.as_ref()?;
    let is_set = quotas.max_connections_per_login.is_some() && engine == Engine::Mongo;
    let said = "quotas.maxConnectionsPerLogin: MongoDB has no bound on connections of a login";
    is_set.then(|| said.to_owned())
}

fn missing_rights(engine: Engine, catalog: &Catalog) -> Vec<&'static str> {
    let admin = &catalog.admin;
    let names = match engine {
        Engine::Postgres => ["CREATEROLE", "CREATEDB"],
        Engine::Mongo => ["rights on dbclaims", "grantRole on databases"],
    };
    let rights = [admin.can_create_roles, admin.can_create_databases];
    let rights = names.into_iter().zip(rights);
    let missing = rights.filter(|(_, has)| !has && !admin.is_superuser);
    missing.map(|(right, _)| right).collect()
}

fn capabilities(catalog: &Catalog) -> Vec<String> {
    let admin = &catalog.admin;
    let all = [
        ("CreateRole", admin.can_create_roles || admin.is_superuser),
        (
            "CreateDatabase",
            admin.can_create_databases || admin.is_superuser,
        ),
        ("SuperUser", admin.is_superuser),
        (
            "Replication",
            admin.is_superuser || catalog.has_rds_replication,
        ),
    ];
    all.into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name.to_owned())
        .collect()
}

async fn write(
    context: &Context,
    server: &DatabaseServer,
    status: &DatabaseServerStatus,
) -> Result<(), Error> {
    let before = serde_json::to_value(server.status.clone().unwrap_or_default());
    let after = serde_json::to_value(status);
    let (Ok(before), Ok(after)) = (before, after) else {
        return Ok(());
    };
    let Some(change) = crate::merge_patch::between(&before, &after) else {
        return Ok(());
    };
    let patch = Patch::Merge(serde_json::json!({ "status": change }));
    let servers = Api::<DatabaseServer>::all(context.client.clone());
    servers
        .patch_status(&server.name_any(), &PatchParams::default(), &patch)
        .await
        .map(|_| ())
        .map_err(Error::kubernetes("take the server's status"))
}
