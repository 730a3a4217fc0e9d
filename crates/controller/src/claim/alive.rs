//! Whether a claim is still wanted as it was read. A pass may be late: it was held up, and goes on
//! after somebody ended or changed the claim. Nothing may be made for it then.

use api::claim::DatabaseClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};

use crate::{context::Scope, error::Error};

/// Asks the cache, which costs nothing.
pub(super) fn check(claim: &DatabaseClaim, scope: &Scope) -> Result<(), Error> {
    let cached = scope.claims.get(&ObjectRef::from_obj(claim));
    check_same(claim, cached.as_ref().map(|cached| &cached.metadata))
}

/// Asks the API server, before something is made on the server. The cache of a process that was
/// stopped is as old as the pass. Not asked where this very pass put the finalizer on the version
/// that it read: the API server was asked then.
pub(super) async fn check_live(claim: &DatabaseClaim, scope: &Scope) -> Result<(), Error> {
    check(claim, scope)?;
    if !super::has_finalizer(claim) {
        return Ok(());
    }
    let namespace = claim.namespace().unwrap_or_default();
    let claims = Api::<DatabaseClaim>::namespaced(scope.context.client.clone(), &namespace);
    let found = claims
        .get_metadata_opt(&claim.name_any())
        .await
        .map_err(Error::kubernetes("return the claim"))?;
    check_same(claim, found.as_ref().map(|found| &found.metadata))
}

fn check_same(claim: &DatabaseClaim, found: Option<&ObjectMeta>) -> Result<(), Error> {
    let own = &claim.metadata;
    match found {
        Some(found) if found.uid != own.uid || found.deletion_timestamp.is_some() => {
            Err(Error::Ended)
        }
        // An older cache is no news.
        Some(found) if found.generation > own.generation => Err(Error::Outdated),
        Some(_) => Ok(()),
        None => Err(Error::Ended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_for_a_claim_that_goes_is_gone_came_again_or_changed() {
        let mut claim = DatabaseClaim::new("shop", api::claim::DatabaseClaimSpec::default());
        claim.metadata.uid = Some("one".to_owned());
        let mut found = claim.metadata.clone();
        assert!(check_same(&claim, Some(&found)).is_ok());
        assert!(check_same(&claim, None).is_err());
        found.generation = Some(2);
        assert!(check_same(&claim, Some(&found)).is_err());
        found.generation = None;
        found.uid = Some("two".to_owned());
        assert!(check_same(&claim, Some(&found)).is_err());
        let mut going = claim.metadata.clone();
        going.deletion_timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").ok();
        assert!(going.deletion_timestamp.is_some());
        assert!(check_same(&claim, Some(&going)).is_err());
    }
}
