//! Writes to our own objects: no more than what changed, and never over somebody else's entry.

use std::fmt::Debug;

use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::Error;

/// Our kinds of claims.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
{
}

fn api<K: Object>(client: &Client, object: &K) -> Api<K> {
    Api::namespaced(client.clone(), &object.namespace().unwrap_or_default())
}

/// Patches the status if it differs. Only fields that changed travel; a removed one as null.
/// Returns the object as it is then, if anything was written.
pub async fn patch_status<K: Object>(
    client: &Client,
    object: &K,
    before: &impl Serialize,
    after: &impl Serialize,
) -> Result<Option<K>, Error> {
    let (Ok(before), Ok(after)) = (serde_json::to_value(before), serde_json::to_value(after))
    else {
        return Ok(None);
    };
    let Some(change) = crate::merge_patch::between(&before, &after) else {
        return Ok(None);
    };
    let patch = Patch::Merge(serde_json::json!({ "status": change }));
    let written = api(client, object)
        .patch_status(&object.name_any(), &PatchParams::default(), &patch)
        .await;
    written
        .map(Some)
        .map_err(Error::kubernetes("take the status"))
}

/// Replaces the list on the version that was read, so that nobody else's entry is lost.
pub async fn set_finalizers<K: Object>(
    client: &Client,
    object: &K,
    finalizers: &[String],
) -> Result<(), Error> {
    let patch = serde_json::json!({
        "metadata": { "finalizers": finalizers, "resourceVersion": object.resource_version() }
    });
    let written = api(client, object)
        .patch_metadata(
            &object.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await;
    written
        .map(|_| ())
        .map_err(Error::kubernetes("take the finalizers"))
}
