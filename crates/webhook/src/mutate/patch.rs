//! Step 5: additions in the terms of RFC 6902.

use std::collections::BTreeMap;

use api::names::pod as names;
use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};
use serde_json::{Value, json};

use super::Sidecar;
use crate::settings::Form;

/// Adds markers, volumes and containers. Volumes that the pod has already are left out.
pub(super) fn of(pod: &Pod, sidecars: Vec<Sidecar>, form: Form) -> Patch {
    let spec = pod.spec.as_ref();
    let mut markers = Vec::new();
    let mut volumes = Vec::new();
    let mut containers = Vec::new();
    for sidecar in sidecars {
        let Sidecar {
            marker,
            volumes: wished,
            container,
            ports: _,
        } = sidecar;
        markers.push((marker, names::INJECTED));
        volumes.extend(wished.into_iter().filter(|volume| !has(spec, volume)));
        containers.push(container);
    }
    let mut operations = entries(
        "annotations",
        pod.metadata.annotations.as_ref(),
        markers.iter().copied(),
    );
    let existing = spec.and_then(|spec| spec.volumes.as_ref());
    operations.extend(appended("volumes", existing.is_some(), volumes));
    operations.extend(match form {
        Form::Native => {
            let existing = spec.and_then(|spec| spec.init_containers.as_ref());
            started_first(existing.is_some(), containers)
        }
        Form::Plain => appended("containers", true, containers),
    });
    Patch(operations)
}

/// Sets entries of a map in the metadata, which is made where it is missing.
pub(crate) fn entries<'a>(
    map: &str,
    existing: Option<&BTreeMap<String, String>>,
    entries: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<PatchOperation> {
    if existing.is_some() {
        return entries
            .map(|(key, value)| add(["metadata", map, key], json!(value)))
            .collect();
    }
    let entries: BTreeMap<_, _> = entries.collect();
    if entries.is_empty() {
        return Vec::new();
    }
    vec![add(["metadata", map], json!(entries))]
}

/// At the end of a list of the spec, which is made where it is missing.
fn appended<T: serde::Serialize>(list: &str, exists: bool, items: Vec<T>) -> Vec<PatchOperation> {
    if exists {
        return items
            .into_iter()
            .map(|item| add(["spec", list, "-"], json!(item)))
            .collect();
    }
    if items.is_empty() {
        return Vec::new();
    }
    vec![add(["spec", list], json!(items))]
}

/// Before all init containers, which may want the database too, in the order given.
fn started_first(exists: bool, containers: Vec<Container>) -> Vec<PatchOperation> {
    let containers = containers.into_iter().map(|container| Container {
        restart_policy: Some("Always".to_owned()),
        ..container
    });
    if !exists {
        let containers: Vec<_> = containers.collect();
        return vec![add(["spec", "initContainers"], json!(containers))];
    }
    containers
        .enumerate()
        .map(|(place, container)| {
            let place = place.to_string();
            add(["spec", "initContainers", &place], json!(container))
        })
        .collect()
}

fn has(spec: Option<&PodSpec>, volume: &Volume) -> bool {
    let volumes = spec.and_then(|spec| spec.volumes.as_ref());
    volumes
        .into_iter()
        .flatten()
        .any(|existing| existing.name == volume.name)
}

fn add<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: PointerBuf::from_tokens(path),
        value,
    })
}
