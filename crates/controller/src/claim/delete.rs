//! The end of a claim. The finalizer always goes: neither a wrong spec nor a dead server holds it,
//! and an Event says what stays behind.

use api::{claim::DatabaseClaim, names::finalizer};
use engine::{
    decide::farewell,
    error_class::ErrorClass,
    names::{DatabaseName, RoleName},
    place::Place,
    wishes::{ClaimId, deletes},
};
use kube::{ResourceExt, runtime::controller::Action};

use super::{admin, inputs::Inputs};
use crate::{
    context::Scope,
    copies,
    error::{Error, chain},
    objects, publish, role_claim,
    rotation::former_secret,
};

/// Attempts at a server that does not answer, before what is there is left behind.
const PATIENCE: u32 = 4;

pub(super) async fn reconcile(claim: &DatabaseClaim, scope: &Scope) -> Action {
    if !objects::has_finalizer(claim, finalizer::CLAIM) {
        scope
            .context
            .memory
            .forget(&claim.uid().unwrap_or_default());
        return Action::await_change();
    }
    let uid = claim.uid().unwrap_or_default();
    let memory = &scope.context.memory;
    let (reason, note) = match end(claim, scope).await {
        Ok(note) => note,
        Err(err) => {
            let attempts = memory
                .update(&uid, |memory| memory.farewells += 1)
                .farewells;
            let may_pass = !matches!(err.class(), ErrorClass::InvalidSpec | ErrorClass::Bug);
            if may_pass && attempts < PATIENCE {
                let wait = ErrorClass::Transient
                    .retry_after(attempts)
                    .unwrap_or_default();
                return Action::requeue(wait);
            }
            // The Secrets go first: only the API server can have kept them.
            let keeps_secret = matches!(err, Error::Kubernetes { .. });
            let (what, err) = (remains(claim, keeps_secret), chain(&err));
            (
                "LeftBehind",
                format!("{what}; it could not be removed: {err}"),
            )
        }
    };
    let events = &scope.context.events;
    if reason == "LeftBehind" {
        events.warning(claim, reason, &note).await;
    } else {
        events.normal(claim, reason, &note).await;
    }
    tracing::info!(reason, note, "claim ended");
    let dropped = objects::drop_finalizer(&scope.context.client, claim, finalizer::CLAIM).await;
    if let Err(err) = dropped {
        tracing::debug!(error = chain(&err), "finalizer not removed yet");
        return Action::requeue(std::time::Duration::from_secs(1));
    }
    memory.forget(&uid);
    Action::await_change()
}

/// Removes what the reclaim policy says. Returns the Event that tells of it.
async fn end(claim: &DatabaseClaim, scope: &Scope) -> Result<(&'static str, String), Error> {
    let inputs = Inputs::of(claim, &scope.context);
    let defaults = match inputs.as_ref().map(|inputs| &inputs.choice.place) {
        Ok(Place::Server(server)) => Some(&server.defaults),
        _ => None,
    };
    if !deletes(claim, defaults) {
        return Ok(("Retained", remains(claim, true)));
    }
    // The Secrets go first: they must not name a login that is gone.
    if was_provisioned(claim) {
        role_claim::end_all(&scope.context, claim).await?;
    }
    delete_secrets(claim, scope).await?;
    match inputs {
        Ok(inputs) => drop_everything(claim, scope, &inputs).await?,
        Err(err) if was_provisioned(claim) => return Err(err),
        // A claim that could never be understood was never acted on.
        Err(_) => {}
    }
    Ok((
        "Deleted",
        "Secret, logins, owner role and what the claim made are gone".to_owned(),
    ))
}

fn was_provisioned(claim: &DatabaseClaim) -> bool {
    claim
        .status
        .as_ref()
        .is_some_and(|status| status.server.is_some())
}

/// What of a claim stays when nobody removes it, by name.
fn remains(claim: &DatabaseClaim, keeps_secret: bool) -> String {
    let role = recorded_role(claim);
    let database = recorded_database(claim);
    let secret = if keeps_secret {
        format!("Secret {} and ", claim.secret_name())
    } else {
        String::new()
    };
    let stay = if was_provisioned(claim) {
        "stay as they are"
    } else {
        "stay as they are, where they were made: the claim was never ready"
    };
    format!(
        "{secret}on the server role {role}, logins {role}_a and {role}_b and database {database} {stay}"
    )
}

fn recorded_role(claim: &DatabaseClaim) -> String {
    let recorded = claim
        .status
        .as_ref()
        .and_then(|status| status.server.as_ref()?.owner_role.clone());
    recorded.unwrap_or_else(|| claim.spec.user_name.clone())
}

fn recorded_database(claim: &DatabaseClaim) -> String {
    let status = claim.status.as_ref();
    let active = status.and_then(|status| status.active_db.as_ref()?.connection_info.as_ref());
    active
        .and_then(|info| info.database_name.clone())
        .unwrap_or_else(|| claim.spec.database_name.clone())
}

async fn drop_everything(
    claim: &DatabaseClaim,
    scope: &Scope,
    inputs: &Inputs,
) -> Result<(), Error> {
    let context = &scope.context;
    let named = |field| move |error| engine::source::Error::Name { field, error };
    let role = RoleName::try_from(recorded_role(claim)).map_err(named("userName"))?;
    let database =
        DatabaseName::try_from(recorded_database(claim)).map_err(named("databaseName"))?;
    let admin = admin::dsn(context, claim, &inputs.choice.place).await?;
    let connections = inputs.connections(&context.config.load());
    let _permit = context
        .limits
        .enter(&inputs.circuit(&admin), connections)
        .await?;
    let session = context.engines.acquire(&admin).await?;
    let mut wishes = inputs.wishes.clone();
    wishes.role = role.clone();
    let accounts = wishes.access.accounts(&database);
    let key = wishes.claim.lock_key();
    let mut session = session.lock(&[key], accounts).await?;
    let catalog = session.observe(&wishes.question(&database)).await?;
    let steps = farewell(&wishes, &database, &catalog);
    session.apply(&steps, &catalog).await?;
    session.unlock().await?;
    Ok(())
}

/// Deletes the Secret if it is the claim's, those of earlier names, and their copies.
async fn delete_secrets(claim: &DatabaseClaim, scope: &Scope) -> Result<(), Error> {
    let id = ClaimId::of(claim)?;
    let (client, current) = (&scope.context.client, claim.secret_name());
    copies::remove_all(&scope.context, claim).await?;
    for former in former_secret::all(client, &scope.secrets, &id, current).await? {
        publish::delete(client, &id.namespace, &former).await?;
    }
    match publish::read(client, &id.namespace, current).await? {
        Some(found) if found.is_of(&id) => publish::delete(client, &id.namespace, &found).await,
        _ => Ok(()),
    }
}
