//! Whether a claim is still wanted as it was read. A pass may be late: it was held up, and goes on
//! after somebody ended or changed the claim. Nothing may be made for it then.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    context::Context,
    error::Error,
    objects::{self, Object},
};

/// Compares with what the cache has, which costs nothing.
pub(crate) fn check<K: Object>(object: &K, cached: Option<&K>) -> Result<(), Error> {
    check_same(object.meta(), cached.map(K::meta))
}

/// Asks the API server. The cache of a process that was stopped is as old as the pass.
pub(crate) async fn check_live<K: Object>(context: &Context, object: &K) -> Result<(), Error> {
    let found = objects::metadata(&context.client, object).await?;
    check_same(object.meta(), found.as_ref())
}

pub(crate) fn check_same(own: &ObjectMeta, found: Option<&ObjectMeta>) -> Result<(), Error> {
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
    use api::claim::DatabaseClaim;

    use super::*;

    #[test]
    fn nothing_is_made_for_a_claim_that_goes_is_gone_came_again_or_changed() {
        let mut claim = DatabaseClaim::new("shop", api::claim::DatabaseClaimSpec::default());
        claim.metadata.uid = Some("one".to_owned());
        let mut found = claim.metadata.clone();
        assert!(check_same(&claim.metadata, Some(&found)).is_ok());
        assert!(check_same(&claim.metadata, None).is_err());
        found.generation = Some(2);
        assert!(check_same(&claim.metadata, Some(&found)).is_err());
        found.generation = None;
        found.uid = Some("two".to_owned());
        assert!(check_same(&claim.metadata, Some(&found)).is_err());
        let mut going = claim.metadata.clone();
        going.deletion_timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").ok();
        assert!(going.deletion_timestamp.is_some());
        assert!(check_same(&claim.metadata, Some(&going)).is_err());
    }
}
