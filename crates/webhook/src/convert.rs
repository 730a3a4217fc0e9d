//! Annotations from before the labels become labels, with a warning that says which to use.
//!
//! A pod whose Secret no claim publishes is left as it is: this helps old pods and stops none.

use std::collections::BTreeMap;

use api::names::pod as names;
use json_patch::{Patch, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use k8s_openapi::api::core::v1::Pod;

use crate::{
    known::Known,
    mutate::{Change, entries},
};

const OLD: [&str; 3] = [
    names::OLD_DB_SECRET_PATH,
    names::OLD_REMOTE_DB_DSN,
    names::OLD_DSNEXEC_CONFIG,
];

/// Decides about a pod that is being created in `ns`.
pub fn convert(pod: &Pod, ns: &str, class: &str, known: &dyn Known) -> Change {
    let annotations = pod.metadata.annotations.as_ref();
    let annotation = |name: &str| {
        let value = annotations?.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    };
    let proxied = annotation(names::OLD_DB_SECRET_PATH);
    let executed = annotation(names::OLD_REMOTE_DB_DSN);
    let config = annotation(names::OLD_DSNEXEC_CONFIG);
    // The path may end in the key of the Secret that was mounted.
    let secret = executed.or(proxied).and_then(|path| path.split('/').next());
    let Some(secret) = secret else {
        return Change::default();
    };
    let labels = pod.metadata.labels.as_ref();
    let own_claim = labels.and_then(|labels| labels.get(names::CLAIM).cloned());
    let Some(claim) = own_claim.or_else(|| known.claim_of(ns, secret)) else {
        return Change {
            patch: Patch::default(),
            warnings: vec![format!(
                "no claim publishes Secret {secret}: use the label {} instead of annotations",
                names::CLAIM
            )],
        };
    };
    let mut wished = BTreeMap::from([(names::CLAIM, claim.as_str()), (names::CLASS, class)]);
    wished.extend(proxied.map(|_| (names::DBPROXY, names::ENABLED)));
    if let Some(config) = config {
        wished.extend([
            (names::DSNEXEC, names::ENABLED),
            (names::DSNEXEC_CONFIG, config),
        ]);
    }
    wished.retain(|name, _| !labels.is_some_and(|labels| labels.contains_key(*name)));
    let message = advice(&wished);
    let mut operations = entries("labels", labels, wished.into_iter());
    let note = [(names::DEPRECATION_MESSAGES, message.as_str())];
    operations.extend(entries("annotations", annotations, note.into_iter()));
    let present = OLD
        .into_iter()
        .filter(|name| annotations.is_some_and(|annotations| annotations.contains_key(*name)));
    operations.extend(present.map(|name| {
        PatchOperation::Remove(RemoveOperation {
            path: PointerBuf::from_tokens(["metadata", "annotations", name]),
        })
    }));
    Change {
        patch: Patch(operations),
        warnings: vec![message],
    }
}

fn advice(labels: &BTreeMap<&str, &str>) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!(
        "deprecated annotations infoblox.com/*: use labels {}",
        labels.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::known::Published;

    struct Store;

    impl Known for Store {
        fn published(&self, _ns: &str, _claim: &str) -> Option<Published> {
            None
        }

        fn claim_of(&self, ns: &str, secret: &str) -> Option<String> {
            ((ns, secret) == ("store", "orders-dsn")).then(|| "shop".to_owned())
        }

        fn is_terminating(&self, _ns: &str) -> bool {
            false
        }
    }

    /// The metadata that becomes of a pod with these annotations, and the warnings.
    fn converted(annotations: &Value) -> (Value, Vec<String>) {
        let mut pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": []}});
        let typed: Pod = serde_json::from_value(pod.clone()).unwrap();
        let change = convert(&typed, "store", "blue", &Store);
        json_patch::patch(&mut pod, &change.patch).unwrap();
        (pod["metadata"].take(), change.warnings)
    }

    #[test]
    fn row_60_old_annotations_become_labels() {
        let (metadata, warnings) = converted(&json!({
            "infoblox.com/db-secret-path": "orders-dsn/uri_dsn.txt",
            "infoblox.com/remote-db-dsn-secret": "orders-dsn",
            "infoblox.com/dsnexec-config-secret": "statements",
            "other": "stays",
        }));
        let wanted = json!({
            "persistance.atlas.infoblox.com/claim": "shop",
            "persistance.atlas.infoblox.com/class": "blue",
            "persistance.atlas.infoblox.com/dbproxy": "enabled",
            "persistance.atlas.infoblox.com/dsnexec": "enabled",
            "persistance.atlas.infoblox.com/dsnexec-config": "statements",
        });
        assert_eq!(metadata["labels"], wanted);
        let annotations = metadata["annotations"].as_object().unwrap();
        let keys: Vec<_> = annotations.keys().collect();
        assert_eq!(keys, ["other", names::DEPRECATION_MESSAGES]);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn row_60_a_secret_of_no_claim_leaves_the_pod_as_it_is_with_a_warning() {
        let annotations = json!({"infoblox.com/db-secret-path": "other/uri_dsn.txt"});
        let (metadata, warnings) = converted(&annotations);
        assert_eq!(metadata, json!({"annotations": annotations}));
        assert_eq!(
            warnings,
            ["no claim publishes Secret other: use the label \
              persistance.atlas.infoblox.com/claim instead of annotations"]
        );
    }
}
