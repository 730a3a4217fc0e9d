//! The published Secret: read whole, written whole, and only on the version that was read.
//! The one place of this crate where a password is turned into bytes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use api::{
    claim::DatabaseClaim,
    names::{annotation, label},
    role_claim::DbRoleClaim,
    server::DatabaseServer,
};
use engine::{
    secret::{Owner, Stored},
    source::SecretData,
    wishes::{ClaimId, ClaimKind, SecretShape},
};
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;

/// What is said about the credential beside the credential.
#[derive(Debug, Clone)]
pub struct Publication {
    pub generation: i64,
    pub rotated_at: Timestamp,
    pub previous_login: Option<String>,
    pub handled_nonce: Option<String>,
}

/// A Secret as it stands, and what of it decisions are made on.
#[derive(Clone)]
pub struct Found {
    pub stored: Stored,
    object: Secret,
}

impl Found {
    pub fn name(&self) -> String {
        self.object.metadata.name.clone().unwrap_or_default()
    }

    /// Who else wrote it, by the names that they gave themselves.
    pub fn other_writers(&self) -> BTreeSet<String> {
        let entries = self.object.metadata.managed_fields.iter().flatten();
        let names = entries.filter_map(|entry| entry.manager.clone());
        names
            .filter(|name| name != api::names::FIELD_MANAGER)
            .collect()
    }

    /// Whether this very claim published it, and not an earlier or a later one of its name.
    pub fn is_of(&self, claim: &ClaimId) -> bool {
        self.stored.owner(claim) == Owner::Ours
            && self.stored.annotations.get(annotation::CLAIM_UID) == Some(&claim.uid)
    }
}

/// Reads a Secret; `None` where there is none. Values that are not UTF-8 are left out: none of
/// ours is such. Asked as a list of one, in which an absent Secret is an answer and no failure.
pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Option<Found>, Error> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = secrets
        .list(&named)
        .await
        .map_err(Error::kubernetes("return the Secret"))?;
    let object = found
        .items
        .into_iter()
        .find(|object| object.metadata.name.as_deref() == Some(name));
    Ok(object.map(|object| Found {
        stored: stored(&object),
        object,
    }))
}

/// The data of a Secret that holds somebody's credential.
pub fn data(object: &Secret) -> SecretData {
    let values = object.data.iter().flatten();
    let texts = values.filter_map(|(key, value)| {
        Some((
            key.clone(),
            SecretString::from(str::from_utf8(&value.0).ok()?),
        ))
    });
    texts.collect()
}

fn stored(object: &Secret) -> Stored {
    let metadata = object.metadata.clone();
    Stored {
        resource_version: metadata.resource_version.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
        owner_uids: metadata
            .owner_references
            .iter()
            .flatten()
            .map(|o| o.uid.clone())
            .collect(),
        type_: object.type_.clone().unwrap_or_default(),
        data: data(object),
    }
}

/// Step 6: writes the Secret on the version that was read, or makes it where none was.
/// Returns it as it now stands. Error: a conflict, if anybody wrote in between.
pub async fn publish(
    client: &Client,
    claim: &ClaimId,
    shape: &SecretShape,
    found: Option<&Found>,
    data: &SecretData,
    publication: &Publication,
) -> Result<Found, Error> {
    let secrets = Api::<Secret>::namespaced(client.clone(), &claim.namespace);
    let object = object(claim, shape, found, data, publication);
    let params = PostParams {
        field_manager: Some(api::names::FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let written = match found {
        Some(_) => secrets.replace(&shape.name, &params, &object).await,
        None => secrets.create(&params, &object).await,
    };
    let object = written.map_err(Error::kubernetes("take the Secret"))?;
    Ok(Found {
        stored: stored(&object),
        object,
    })
}

/// Moves the Secret's version and nothing else, so that a publication which was prepared on the
/// old one, and may still be under way, fails.
pub async fn fence(client: &Client, claim: &ClaimId, found: &Found) -> Result<Found, Error> {
    let mut object = found.object.clone();
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert(
        annotation::FENCE.to_owned(),
        found.stored.resource_version.clone(),
    );
    let secrets = Api::<Secret>::namespaced(client.clone(), &claim.namespace);
    let name = object.metadata.name.clone().unwrap_or_default();
    let object = secrets
        .replace(&name, &PostParams::default(), &object)
        .await
        .map_err(Error::kubernetes("take the Secret"))?;
    Ok(Found {
        stored: stored(&object),
        object,
    })
}

/// Deletes exactly the Secret that was read.
pub async fn delete(client: &Client, namespace: &str, found: &Found) -> Result<(), Error> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: found.object.metadata.uid.clone(),
            resource_version: found.object.metadata.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let name = found.object.metadata.name.clone().unwrap_or_default();
    match secrets.delete(&name, &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        outcome => outcome
            .map(|_| ())
            .map_err(Error::kubernetes("delete the Secret")),
    }
}

/// Deletes the Secret in which the original kept the admin's password in the claim's namespace, if
/// the claim owns it. Returns its name if there was one.
pub async fn delete_leftover(
    client: &Client,
    claim: &ClaimId,
    shape: &SecretShape,
) -> Option<String> {
    let name = format!("temp-{}", shape.name);
    let found = read(client, &claim.namespace, &name).await.ok()??;
    if !found.stored.owner_uids.contains(&claim.uid) {
        return None;
    }
    delete(client, &claim.namespace, &found)
        .await
        .ok()
        .map(|()| name)
}

/// Whether everything but the credential stands as the claim wishes: labels, annotations, owner,
/// and no key more of ours than in `data`.
pub fn is_dressed(found: &Found, claim: &ClaimId, shape: &SecretShape, data: &SecretData) -> bool {
    let holds = |all: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
        wanted
            .iter()
            .all(|(key, value)| all.get(key) == Some(value))
    };
    let annotations = &found.stored.annotations;
    let is_owned = found.stored.owner_uids.contains(&claim.uid);
    holds(&found.stored.labels, &shape.labels)
        && holds(annotations, &shape.annotations)
        && annotations.get(annotation::CLAIM_UID) == Some(&claim.uid)
        && annotations.contains_key(annotation::ROTATED_AT)
        && annotations.get(annotation::KEYS) == Some(&names_of(data))
        && is_owned == shape.is_owned
}

/// The whole object. What users added stays: further keys, labels and annotations are theirs.
fn object(
    claim: &ClaimId,
    shape: &SecretShape,
    found: Option<&Found>,
    data: &SecretData,
    publication: &Publication,
) -> Secret {
    let mut object = found.map_or_else(|| new_object(shape), |found| found.object.clone());
    let metadata = &mut object.metadata;
    metadata.name = Some(shape.name.clone());
    metadata.namespace = Some(claim.namespace.clone());
    metadata.managed_fields = None;
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(shape.labels.clone());
    labels.insert(
        label::MANAGED_BY.to_owned(),
        claim.kind.manager().to_owned(),
    );
    let annotations = metadata.annotations.get_or_insert_default();
    let former = annotations.insert(annotation::KEYS.to_owned(), names_of(data));
    let former = former.unwrap_or_default();
    // Only what is a copy says so.
    annotations.remove(annotation::COPY_OF);
    annotations.extend(shape.annotations.clone());
    annotations.extend(annotations_of(claim, publication));
    if publication.previous_login.is_none() {
        annotations.remove(annotation::PREVIOUS_LOGIN);
    }
    let owners = metadata.owner_references.get_or_insert_default();
    let (_, kind) = kind_of(claim.kind);
    owners.retain(|owner| owner.kind != kind);
    if shape.is_owned {
        owners.push(owner_reference(claim));
    }
    let all = object.data.get_or_insert_default();
    for key in former.split(',') {
        all.remove(key);
    }
    for (key, value) in data {
        all.insert(
            key.clone(),
            ByteString(value.expose_secret().as_bytes().to_vec()),
        );
    }
    object
}

/// The keys as one text; none of them can have a comma.
fn names_of(data: &SecretData) -> String {
    let names: Vec<_> = data.keys().map(String::as_str).collect();
    names.join(",")
}

/// What a Secret is that says nothing of itself (Kubernetes API, `Secret.type`).
const OPAQUE: &str = "Opaque";

fn new_object(shape: &SecretShape) -> Secret {
    let wished = shape.type_.clone();
    Secret {
        metadata: ObjectMeta::default(),
        type_: Some(wished.unwrap_or_else(|| OPAQUE.to_owned())),
        ..Secret::default()
    }
}

fn annotations_of(
    claim: &ClaimId,
    publication: &Publication,
) -> impl Iterator<Item = (String, String)> {
    let Publication {
        generation,
        rotated_at,
        previous_login,
        handled_nonce,
    } = publication;
    [
        (annotation::CLAIM_NAME, Some(claim.name.clone())),
        (annotation::CLAIM_UID, Some(claim.uid.clone())),
        (annotation::GENERATION, Some(generation.to_string())),
        (annotation::ROTATED_AT, Some(rotated_at.to_string())),
        (annotation::PREVIOUS_LOGIN, previous_login.clone()),
        (annotation::HANDLED_ROTATE, handled_nonce.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
}

/// API version and kind.
fn kind_of(kind: ClaimKind) -> (Cow<'static, str>, Cow<'static, str>) {
    match kind {
        ClaimKind::Claim => (DatabaseClaim::api_version(&()), DatabaseClaim::kind(&())),
        ClaimKind::RoleClaim => (DbRoleClaim::api_version(&()), DbRoleClaim::kind(&())),
        ClaimKind::Server => (DatabaseServer::api_version(&()), DatabaseServer::kind(&())),
    }
}

fn owner_reference(claim: &ClaimId) -> OwnerReference {
    let (api_version, kind) = kind_of(claim.kind);
    OwnerReference {
        api_version: api_version.into_owned(),
        kind: kind.into_owned(),
        name: claim.name.clone(),
        uid: claim.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
