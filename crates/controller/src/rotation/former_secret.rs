//! Secrets that a claim published under an earlier `secretName`. Applications may still mount one,
//! so it stays for as long as its login works, and goes right before that ends: what a Secret says
//! is always true.

use api::names::annotation;
use engine::{secret::Stored, wishes::ClaimId};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, ResourceExt, core::PartialObjectMeta};

use super::Happening;
use crate::{
    error::Error,
    publish::{self, Found},
    watch::Cache,
};

/// Secrets that name the claim, beside its current one. The cache tells which there are; that they
/// are of this very claim, and not of an earlier one of its name, is read from the Secret itself.
pub(crate) async fn all(
    client: &Client,
    cache: &Cache<PartialObjectMeta<Secret>>,
    claim: &ClaimId,
    current: &str,
) -> Result<Vec<Found>, Error> {
    let named = cache.state_filter(|secret| {
        let (metadata, annotations) = (&secret.metadata, secret.annotations());
        metadata.namespace.as_ref() == Some(&claim.namespace)
            && metadata.name.as_deref() != Some(current)
            && annotations.get(annotation::CLAIM_NAME) == Some(&claim.name)
    });
    let mut all = Vec::new();
    for secret in named {
        let found = publish::read(client, &claim.namespace, &secret.name_any()).await?;
        all.extend(found.filter(|found| found.is_of(claim)));
    }
    Ok(all)
}

/// Deletes those whose login `ends`, or that name none. To be called before it ends.
pub(crate) async fn remove(
    client: &Client,
    cache: &Cache<PartialObjectMeta<Secret>>,
    claim: &ClaimId,
    current: &str,
    ends: &[&str],
) -> Result<Vec<Happening>, Error> {
    let mut happenings = Vec::new();
    for found in all(client, cache, claim, current).await? {
        if is_ending(&found.stored, ends) {
            publish::delete(client, &claim.namespace, &found).await?;
            let secret = found.name();
            happenings.push(Happening::FormerSecretRemoved { secret });
        }
    }
    Ok(happenings)
}

fn is_ending(stored: &Stored, ends: &[&str]) -> bool {
    let login = stored.login();
    login.is_none_or(|login| ends.contains(&login.as_str()))
}
