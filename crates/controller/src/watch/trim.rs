//! What a cache keeps of an object: no more than somebody reads, since there may be thousands.

use api::{
    claim::DatabaseClaim, names::annotation, role_claim::DbRoleClaim, server::DatabaseServer,
};
use k8s_openapi::{
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Resource, core::PartialObjectMeta};

/// A cached kind.
pub trait Trim: Resource {
    fn trim(&mut self) {
        trim_metadata(self.meta_mut());
    }
}

/// What `kubectl apply` remembers: a second copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is asked of a published Secret without reading it.
const OF_SECRETS: [&str; 4] = [
    annotation::CLAIM_NAME,
    annotation::ROTATED_AT,
    annotation::HANDLED_ROTATE,
    annotation::COPY_OF,
];

fn trim_metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

impl Trim for DatabaseClaim {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        if let Some(status) = &mut self.status {
            status.conditions.shrink_to_fit();
        }
    }
}

impl Trim for PartialObjectMeta<Secret> {
    fn trim(&mut self) {
        let metadata = &mut self.metadata;
        metadata.managed_fields = None;
        metadata.labels = None;
        metadata.owner_references = None;
        if let Some(annotations) = &mut metadata.annotations {
            annotations.retain(|key, _| OF_SECRETS.contains(&key.as_str()));
        }
    }
}

impl Trim for PartialObjectMeta<Namespace> {}

impl Trim for DatabaseServer {}

impl Trim for DbRoleClaim {}
