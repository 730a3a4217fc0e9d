//! Writes to our own objects: no more than what changed, and never over somebody else's entry.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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

/// The object's metadata as the API server has it; `None` where it is gone.
pub async fn metadata<K: Object>(client: &Client, object: &K) -> Result<Option<ObjectMeta>, Error> {
    let found = api(client, object)
        .get_metadata_opt(&object.name_any())
        .await
        .map_err(Error::kubernetes("return the claim"))?;
    Ok(found.map(|found| found.metadata))
}

/// Adds ours to the finalizers, if it is missing.
pub async fn ensure_finalizer<K: Object>(
    client: &Client,
    object: &K,
    name: &str,
) -> Result<(), Error> {
    if has_finalizer(object, name) {
        return Ok(());
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(name.to_owned());
    set_finalizers(client, object, &finalizers).await
}

/// Whether a deletion of it waits for us.
pub fn has_finalizer<K: Object>(object: &K, name: &str) -> bool {
    object.finalizers().iter().any(|it| it == name)
}

/// Removes ours from the finalizers. An object that is gone meanwhile is no failure.
pub async fn drop_finalizer<K: Object>(
    client: &Client,
    object: &K,
    name: &str,
) -> Result<(), Error> {
    let is_other = |it: &&String| *it != name;
    let rest: Vec<_> = object
        .finalizers()
        .iter()
        .filter(is_other)
        .cloned()
        .collect();
    match set_finalizers(client, object, &rest).await {
        Err(Error::Kubernetes {
            source: kube::Error::Api(status),
            ..
        }) if status.code == 404 => Ok(()),
        outcome => outcome,
    }
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
async fn set_finalizers<K: Object>(
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
