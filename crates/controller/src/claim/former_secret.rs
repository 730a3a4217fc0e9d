//! Secrets that a claim published under an earlier `secretName`. Applications may still mount one,
//! so it stays for as long as its login works, and goes right before that ends: what a Secret says
//! is always true.

use api::names::annotation;
use engine::{secret::Stored, wishes::ClaimId};
use kube::ResourceExt;

use super::{happening::Happening, pass::Pass};
use crate::{
    context::Scope,
    error::Error,
    publish::{self, Found},
};

/// Secrets that name the claim, beside its current one. The cache tells which there are; that they
/// are of this very claim, and not of an earlier one of its name, is read from the Secret itself.
pub(super) async fn all(
    scope: &Scope,
    claim: &ClaimId,
    current: &str,
) -> Result<Vec<Found>, Error> {
    let named = scope.secrets.state_filter(|secret| {
        let (metadata, annotations) = (&secret.metadata, secret.annotations());
        metadata.namespace.as_ref() == Some(&claim.namespace)
            && metadata.name.as_deref() != Some(current)
            && annotations.get(annotation::CLAIM_NAME) == Some(&claim.name)
    });
    let mut all = Vec::new();
    for secret in named {
        let (client, name) = (&scope.context.client, secret.name_any());
        let found = publish::read(client, &claim.namespace, &name).await?;
        all.extend(found.filter(|found| found.is_of(claim)));
    }
    Ok(all)
}

/// Deletes those whose login `ends`, or that name none. To be called before it ends.
pub(super) async fn remove(pass: &mut Pass<'_>, ends: impl Fn(&str) -> bool) -> Result<(), Error> {
    let wishes = &pass.inputs.wishes;
    for found in all(pass.scope, &wishes.claim, &wishes.secret.name).await? {
        if is_ending(&found.stored, &ends) {
            publish::delete(&pass.context.client, &wishes.claim.namespace, &found).await?;
            let secret = found.name();
            pass.happenings
                .push(Happening::FormerSecretRemoved { secret });
        }
    }
    Ok(())
}

fn is_ending(stored: &Stored, ends: impl Fn(&str) -> bool) -> bool {
    stored.login().is_none_or(|login| ends(login.as_str()))
}
