//! Copies of a claim's Secret, which role claims publish in their own namespaces.
//!
//! A copy authenticates whenever the original does: before a login of the claim ends, no copy
//! names it any more.

use std::sync::Arc;

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim};
use engine::{
    role_claim::{self, Ground, Refusal},
    secret::{Owner, Stored},
    wishes::{ClaimId, SecretShape},
};
use kube::ResourceExt;

use crate::{
    context::Context,
    error::{Error, chain},
    publish::{self, Found, Publication},
};

/// A copy as it now stands.
pub struct Copied {
    pub ground: Ground,
    /// What was copied.
    pub source: Found,
    pub found: Found,
    /// Whether it was written now.
    pub is_new: bool,
}

/// Brings the copy of a role claim to what its source holds.
pub async fn bring(
    context: &Context,
    role_claim: &DbRoleClaim,
    source: &DatabaseClaim,
) -> Result<Copied, Error> {
    let (id, source_id) = (ClaimId::of_role_claim(role_claim)?, ClaimId::of(source)?);
    let labels = context.namespace_labels(&id.namespace);
    let lets_all_in = context.settings.role_claims_from_any_namespace;
    let ground = role_claim::ground(source, &id.namespace, &labels, lets_all_in)?;
    let client = &context.client;
    // The copy first: what is written on its version is then never older than what stood there.
    let found = publish::read(client, &id.namespace, role_claim.secret_name()).await?;
    if found
        .as_ref()
        .is_some_and(|found| found.stored.owner(&id) != Owner::Ours)
    {
        let name = role_claim.secret_name().to_owned();
        return Err(Error::ForeignSecret { name });
    }
    let published = publish::read(client, &source_id.namespace, source.secret_name()).await?;
    let published = published.filter(|published| published.is_of(&source_id));
    let unpublished = || Refusal::Unpublished {
        claim: format!("{}/{}", source_id.namespace, source_id.name),
    };
    let published = published.ok_or_else(unpublished)?;
    let data = role_claim::copied(&published.stored);
    if data.is_empty() {
        return Err(unpublished().into());
    }
    let shape = SecretShape {
        name: role_claim.secret_name().to_owned(),
        is_owned: true,
        ..SecretShape::default()
    };
    if let Some(found) = found
        .as_ref()
        .filter(|found| found.stored.holds(&data) && publish::is_dressed(found, &id, &shape, &data))
    {
        return Ok(Copied {
            ground,
            source: published,
            found: found.clone(),
            is_new: false,
        });
    }
    let publication = publication(&published.stored, context);
    let written = publish::publish(client, &id, &shape, found.as_ref(), &data, &publication);
    Ok(Copied {
        ground,
        found: written.await?,
        source: published,
        is_new: true,
    })
}

/// What the copy says of the credential: the same as the original.
fn publication(source: &Stored, context: &Context) -> Publication {
    Publication {
        generation: source.generation(),
        rotated_at: source.rotated_at().unwrap_or_else(|| context.now()),
        previous_login: source.previous_login().map(str::to_owned),
        handled_nonce: None,
    }
}

/// Brings all copies of a claim's Secret to what it holds now. What fails here is done by the role
/// claims' own passes, and at the latest before the login ends.
pub async fn follow(context: &Context, claim: &DatabaseClaim) {
    for role_claim in of(context, claim) {
        if let Err(err) = bring(context, &role_claim, claim).await {
            let (name, error) = (role_claim.name_any(), chain(&err));
            tracing::debug!(role_claim = name, error, "copy not brought up to date yet");
        }
    }
}

/// Lets no copy name a login that `ends`. To be called before it ends.
pub async fn let_go(
    context: &Context,
    claim: &DatabaseClaim,
    ends: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    for role_claim in of(context, claim) {
        let is_ending = |found: &Found| {
            let login = found.stored.login();
            login.is_none_or(|login| ends(login.as_str()))
        };
        let Some(found) = own(context, &role_claim).await?.filter(is_ending) else {
            continue;
        };
        match bring(context, &role_claim, claim).await {
            Ok(copy) if !is_ending(&copy.found) => {}
            Ok(Copied { found, .. }) => delete(context, &role_claim, &found).await?,
            // Nobody may have the next one, and this one ends.
            Err(Error::RoleClaim(_)) => delete(context, &role_claim, &found).await?,
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// Deletes all copies of a claim's Secret: its logins are about to go.
pub async fn remove_all(context: &Context, claim: &DatabaseClaim) -> Result<(), Error> {
    for role_claim in of(context, claim) {
        remove(context, &role_claim).await?;
    }
    Ok(())
}

/// Deletes the copy of a role claim. Whether there was one.
pub async fn remove(context: &Context, role_claim: &DbRoleClaim) -> Result<bool, Error> {
    let Some(found) = own(context, role_claim).await? else {
        return Ok(false);
    };
    delete(context, role_claim, &found).await?;
    Ok(true)
}

/// The Secret that this very role claim published, or the original controller for it.
async fn own(context: &Context, role_claim: &DbRoleClaim) -> Result<Option<Found>, Error> {
    let id = ClaimId::of_role_claim(role_claim)?;
    let found = publish::read(&context.client, &id.namespace, role_claim.secret_name()).await?;
    Ok(found.filter(|found| found.stored.owner(&id) == Owner::Ours))
}

async fn delete(context: &Context, role_claim: &DbRoleClaim, found: &Found) -> Result<(), Error> {
    let id = ClaimId::of_role_claim(role_claim)?;
    publish::delete(&context.client, &id, found).await
}

/// The role claims that share the login of a claim.
fn of(context: &Context, claim: &DatabaseClaim) -> Vec<Arc<DbRoleClaim>> {
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let is_of = |role_claim: &DbRoleClaim| {
        role_claim::is_copy(role_claim) && role_claim.shares(&namespace, &name)
    };
    let caches = context.role_claims.get().into_iter().flatten();
    caches.flat_map(|cache| cache.state_filter(is_of)).collect()
}
