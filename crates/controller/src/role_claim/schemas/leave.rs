//! Takes back what a role claim with logins of its own has: Secrets, logins, role and rights.

use std::collections::BTreeSet;

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim};
use engine::{decide, secret::Stored, step::ServerStep, wishes::ClaimId};

use super::Source;
use crate::{context::Context, error::Error, publish, rotation::former_secret};

/// Takes everything back that a role claim has at its source: Secrets, logins, role, and what it
/// made there becomes the source's.
pub(in crate::role_claim) async fn part(
    role_claim: &DbRoleClaim,
    context: &Context,
    source: &DatabaseClaim,
) -> Result<(), Error> {
    delete_secrets(role_claim, context).await?;
    leave(role_claim, context, source).await
}

/// Removes the logins, the role and its rights from a source's server.
pub(in crate::role_claim) async fn leave(
    role_claim: &DbRoleClaim,
    context: &Context,
    source: &DatabaseClaim,
) -> Result<(), Error> {
    // Nothing is published here any more, and a bad text must not keep the logins.
    let (mut role_claim, mut source) = (role_claim.clone(), source.clone());
    role_claim.spec.secret_template = None;
    source.spec.secret_template = None;
    let (role_claim, source) = (&role_claim, &source);
    let at = Source::of(role_claim, context, source).await?;
    let connections = at.inputs.connections(&context.config.load());
    let circuit = at.inputs.circuit(&at.admin);
    let _permit = context.limits.enter(&circuit, connections).await?;
    let session = context.engines.acquire(&at.admin).await?;
    let mut session = at.lock(session).await?;
    let catalog = session.observe(&at.wishes.question(&at.database)).await?;
    let parting = decide::parting(&at.wishes, &at.database, &catalog);
    // Nobody logs in any more, so nobody makes anything new while it is handed over.
    let inside = at.target().admin_dsn();
    let (engines, is_there) = (&context.engines, catalog.database.is_some());
    let closing = parting.home.iter().filter_map(|step| match step {
        ServerStep::DropLogin { login, .. } => Some(login.clone()),
        _ => None,
    });
    let logins: Vec<_> = closing.collect();
    let closing = logins.iter().cloned().flat_map(|login| {
        let ending = ServerStep::Terminate {
            login: login.clone(),
        };
        [ServerStep::Retire { login }, ending]
    });
    session
        .apply(&closing.collect::<Vec<_>>(), &catalog)
        .await?;
    if is_there {
        for login in &logins {
            let role = &at.wishes.role;
            engines.empty_hands(&inside, login, role, &catalog).await?;
        }
        engines
            .apply_inside(&inside, &parting.inside, &catalog)
            .await?;
        if let Some(wanted) = &parting.abandoned {
            let nothing = BTreeSet::new();
            engines.share(&inside, wanted, &nothing, &catalog).await?;
        }
    }
    session.apply(&parting.home, &catalog).await?;
    session.unlock().await?;
    Ok(())
}

/// Deletes what the role claim published, under any name. It must not name a login that is gone.
async fn delete_secrets(role_claim: &DbRoleClaim, context: &Context) -> Result<(), Error> {
    let id = ClaimId::of_role_claim(role_claim)?;
    let (client, current) = (&context.client, role_claim.secret_name());
    for secrets in context.copies.get().into_iter().flatten() {
        for former in former_secret::all(client, secrets, &id, current).await? {
            publish::delete(client, &id.namespace, &former).await?;
        }
    }
    match publish::read(client, &id.namespace, current).await? {
        Some(found) if found.is_of(&id) && names_own_login(&found.stored, &id) => {
            publish::delete(client, &id.namespace, &found).await
        }
        _ => Ok(()),
    }
}

/// Whether a Secret publishes a login of the role claim itself, and no copy.
fn names_own_login(stored: &Stored, id: &ClaimId) -> bool {
    let pair = engine::wishes::role_claim_logins(&id.name);
    let login = stored.login();
    pair.is_some_and(|pair| login.is_some_and(|login| pair.contains(login.as_str())))
}
