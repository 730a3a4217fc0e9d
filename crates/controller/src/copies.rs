//! Copies of a claim's Secret, which role claims publish in their own namespaces.
//!
//! A copy authenticates whenever the original does: before a login of the claim ends, no copy
//! names it any more. Every copy says of which claim it is, so that one which its role claim has
//! left, by another source or another `secretName`, is found too.

use std::sync::Arc;

use api::{claim::DatabaseClaim, names::annotation, role_claim::DbRoleClaim};
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
    let is_ours = |found: &Found| found.stored.owner(&id) == Owner::Ours;
    if found.as_ref().is_some_and(|found| !is_ours(found)) {
        let name = role_claim.secret_name().to_owned();
        return Err(Error::ForeignSecret { name });
    }
    let published = publish::read(client, &source_id.namespace, source.secret_name()).await?;
    let published = published.filter(|published| published.is_of(&source_id));
    let unpublished = || Refusal::Unpublished {
        claim: name_of(source),
    };
    let published = published.ok_or_else(unpublished)?;
    let data = role_claim::copied(&published.stored);
    if data.is_empty() {
        return Err(unpublished().into());
    }
    let mut shape = SecretShape::of_copy(role_claim);
    let is_copy = (annotation::COPY_OF.to_owned(), name_of(source));
    shape.annotations.extend([is_copy]);
    let is_true =
        |found: &Found| found.stored.holds(&data) && publish::is_dressed(found, &id, &shape, &data);
    let (found, is_new) = match found {
        Some(found) if is_true(&found) => (found, false),
        found => {
            let said = publication(&published.stored, context);
            let written = publish::publish(client, &id, &shape, found.as_ref(), &data, &said);
            (written.await?, true)
        }
    };
    Ok(Copied {
        ground,
        source: published,
        found,
        is_new,
    })
}

/// What of a role claim's wishes has no effect on the copy, in sentences.
pub fn ignored(role_claim: &DbRoleClaim, copy: &Stored) -> Vec<String> {
    let own = role_claim.spec.secret_template.clone().unwrap_or_default();
    let fields = [
        ("data", own.data.is_empty()),
        ("formats", own.formats.is_empty()),
    ];
    let fields = fields.into_iter().filter(|(_, is_empty)| !is_empty);
    let sentences = fields.map(|(field, _)| {
        format!("secretTemplate.{field}: the Secret is a copy, and has the keys of what it copies")
    });
    let shape = SecretShape::of_copy(role_claim);
    sentences.chain(shape.ignored_type(copy)).collect()
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
    for role_claim in sharers(context, claim) {
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
    let is_ending = |found: &Found| {
        let login = found.stored.login();
        login.is_none_or(|login| ends(login.as_str()))
    };
    for place in places(context, claim) {
        let outcome = place.let_go(context, claim, &is_ending).await;
        outcome.map_err(|source| Error::Copy {
            secret: format!("{}/{}", place.namespace, place.secret),
            source: Box::new(source),
        })?;
    }
    Ok(())
}

/// Deletes all copies of a claim's Secret: its logins are about to go.
pub async fn remove_all(context: &Context, claim: &DatabaseClaim) -> Result<(), Error> {
    for place in places(context, claim) {
        if let Some(found) = place.read(context, claim).await? {
            publish::delete(&context.client, &place.namespace, &found).await?;
        }
    }
    Ok(())
}

/// Deletes what this role claim published, if `is_over` says so of the claim of which it is a copy.
/// Whether anything was.
pub async fn withdraw(
    context: &Context,
    role_claim: &DbRoleClaim,
    is_over: impl Fn(&str) -> bool,
) -> Result<bool, Error> {
    let id = ClaimId::of_role_claim(role_claim)?;
    let found = publish::read(&context.client, &id.namespace, role_claim.secret_name()).await?;
    let is_over = |found: &Found| {
        let source = found.stored.annotations.get(annotation::COPY_OF);
        found.is_of(&id) && source.is_some_and(|source| is_over(source))
    };
    match found.filter(is_over) {
        None => Ok(false),
        Some(found) => {
            publish::delete(&context.client, &id.namespace, &found).await?;
            Ok(true)
        }
    }
}

/// The role claims that share the login of a claim.
fn sharers(context: &Context, claim: &DatabaseClaim) -> Vec<Arc<DbRoleClaim>> {
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let is_of = |role_claim: &DbRoleClaim| {
        role_claim::is_copy(role_claim) && role_claim.shares(&namespace, &name)
    };
    let caches = context.role_claims.get().into_iter().flatten();
    caches.flat_map(|cache| cache.state_filter(is_of)).collect()
}

/// Where a copy of a claim's Secret is, or was, or will be.
struct Place {
    namespace: String,
    secret: String,
    /// None for a copy that nobody asks for any more.
    role_claim: Option<Arc<DbRoleClaim>>,
}

/// Where the claim's role claims publish, and what else says that it is a copy of it.
fn places(context: &Context, claim: &DatabaseClaim) -> Vec<Place> {
    let sharers = sharers(context, claim).into_iter();
    let mut all: Vec<_> = sharers
        .map(|role_claim| Place {
            namespace: role_claim.namespace().unwrap_or_default(),
            secret: role_claim.secret_name().to_owned(),
            role_claim: Some(role_claim),
        })
        .collect();
    let source = name_of(claim);
    let copies = context.copies.get().into_iter().flatten();
    let copies = copies.flat_map(|copies| {
        copies.state_filter(|copy| copy.annotations().get(annotation::COPY_OF) == Some(&source))
    });
    for copy in copies {
        let (namespace, secret) = (copy.namespace().unwrap_or_default(), copy.name_any());
        let is_known = |place: &Place| place.namespace == namespace && place.secret == secret;
        if !all.iter().any(is_known) {
            all.push(Place {
                namespace,
                secret,
                role_claim: None,
            });
        }
    }
    all
}

impl Place {
    async fn let_go(
        &self,
        context: &Context,
        claim: &DatabaseClaim,
        is_ending: impl Fn(&Found) -> bool,
    ) -> Result<(), Error> {
        let found = match (self.read(context, claim).await?, &self.role_claim) {
            (Some(found), _) if is_ending(&found) => found,
            (None, Some(role_claim)) => {
                // Another controller, frozen on its way, may be about to make it of what it read
                // before: then it must find it made. Where that can't be done there is no copy.
                if let Err(err) = bring(context, role_claim, claim).await {
                    tracing::debug!(error = chain(&err), "there is no copy");
                }
                return Ok(());
            }
            (_, _) => return Ok(()),
        };
        let last = match &self.role_claim {
            None => Some(found),
            Some(role_claim) => match bring(context, role_claim, claim).await {
                Ok(copied) => Some(copied.found).filter(is_ending),
                // Nobody may have the next login, and this one ends.
                Err(Error::RoleClaim(_)) => Some(found),
                Err(err) => return Err(err),
            },
        };
        match last {
            Some(found) => publish::delete(&context.client, &self.namespace, &found).await,
            None => Ok(()),
        }
    }

    /// The copy that stands there; none if it is somebody else's Secret.
    async fn read(&self, context: &Context, claim: &DatabaseClaim) -> Result<Option<Found>, Error> {
        let found = publish::read(&context.client, &self.namespace, &self.secret).await?;
        let id = self.role_claim.as_deref().map(ClaimId::of_role_claim);
        let id = id.transpose()?;
        let is_copy = |Found { stored, .. }: &Found| {
            id.as_ref().map_or_else(
                || role_claim::is_copy_of(stored, &name_of(claim)),
                |id| stored.owner(id) == Owner::Ours,
            )
        };
        Ok(found.filter(is_copy))
    }
}

/// As the annotation names it.
fn name_of(claim: &DatabaseClaim) -> String {
    let namespace = claim.namespace().unwrap_or_default();
    format!("{namespace}/{}", claim.name_any())
}
