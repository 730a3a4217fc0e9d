//! Laws over arbitrary pods: the patch applies, takes nothing away, and is empty the second time.

use api::names::pod as names;
use k8s_openapi::api::core::v1::Pod;
use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

use super::{
    mutate,
    tests::{Store, settings},
};
use crate::{convert::convert, settings::Form};

/// Fields that meet those that the webhook reads, and some that no version knows.
fn pods() -> impl Strategy<Value = Value> {
    (labels(), option::of(annotations()), spec()).prop_map(|(labels, annotations, spec)| {
        let mut metadata = json!({"labels": labels, "generateName": "till-"});
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations;
        }
        json!({"metadata": metadata, "spec": spec, "fieldOfTomorrow": {"a": 1}})
    })
}

fn labels() -> impl Strategy<Value = Value> {
    let flag = || prop_oneof![4 => Just("enabled"), 1 => Just("no")];
    let claim = prop_oneof![8 => Just("shop"), 1 => Just("other")];
    let class = prop_oneof![8 => Just("blue"), 1 => Just("green")];
    (claim, class, flag(), flag()).prop_map(|(claim, class, dbproxy, dsnexec)| {
        json!({
            names::CLAIM: claim,
            names::CLASS: class,
            names::DBPROXY: dbproxy,
            names::DSNEXEC: dsnexec,
            names::DSNEXEC_CONFIG: "statements",
        })
    })
}

fn annotations() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just(format!("{}port", names::TUNE_DBPROXY)),
        Just(names::INJECTED_DBPROXY.to_owned()),
        Just(names::OLD_DB_SECRET_PATH.to_owned()),
        Just(names::OLD_DSNEXEC_CONFIG.to_owned()),
        "[a-z~/]{1,12}",
    ];
    let value = prop_oneof![
        Just("true".to_owned()),
        Just("6432".to_owned()),
        Just("orders-dsn/uri_dsn.txt".to_owned()),
        ".{0,8}",
    ];
    collection::hash_map(key, value, 0..5).prop_map(|mut map| {
        // Any other value means what no value means, and gives way to this one.
        map.entry(names::INJECTED_DBPROXY.to_owned())
            .and_modify(|value| "true".clone_into(value));
        json!(map)
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let port = prop_oneof![Just(5432_u16), any::<u16>()];
    let containers = || collection::vec(("[a-z]{1,8}", option::of(port.clone())), 0..4);
    let volumes = option::of(collection::vec("[a-z-]{1,10}", 0..4));
    (containers(), option::of(containers()), volumes).prop_map(|(containers, init, volumes)| {
        let list = |containers: Vec<(String, Option<u16>)>| -> Value {
            let container = |(name, port): (String, Option<u16>)| match port {
                None => json!({"name": name, "image": "a"}),
                Some(port) => json!({"name": name, "ports": [{"containerPort": port}]}),
            };
            containers.into_iter().map(container).collect()
        };
        let mut spec = json!({"containers": list(containers), "fieldOfTomorrow": [1]});
        if let Some(init) = init {
            spec["initContainers"] = list(init);
        }
        if let Some(volumes) = volumes {
            let volume = |name| json!({"name": name, "emptyDir": {}});
            spec["volumes"] = volumes.into_iter().map(volume).collect();
        }
        spec
    })
}

fn typed(pod: &Value) -> Pod {
    serde_json::from_value(pod.clone()).unwrap()
}

/// Whether all that `before` has is in `after`: maps have its entries, lists its items in order.
fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .all(|(key, value)| after.get(key).is_some_and(|other| keeps(value, other))),
        (Value::Array(before), Value::Array(after)) => {
            let mut rest = after.iter();
            before.iter().all(|item| rest.any(|other| other == item))
        }
        _ => before == after,
    }
}

proptest! {
    #[test]
    fn row_55_patched_twice_is_patched_once(pod in pods(), is_native in any::<bool>()) {
        let form = if is_native { Form::Native } else { Form::Plain };
        let settings = settings(form);
        if let Ok(change) = mutate(&typed(&pod), "store", &settings, &Store) {
            let mut once = pod.clone();
            json_patch::patch(&mut once, &change.patch).unwrap();
            prop_assert!(keeps(&pod, &once), "{pod} lost something in {once}");
            let again = mutate(&typed(&once), "store", &settings, &Store).unwrap();
            prop_assert_eq!(again.patch.0, vec![]);
        }
    }

    #[test]
    fn row_60_a_converted_pod_needs_no_conversion(pod in pods()) {
        let change = convert(&typed(&pod), "store", "blue", &Store);
        let mut once = pod.clone();
        json_patch::patch(&mut once, &change.patch).unwrap();
        prop_assert_eq!(&once["spec"], &pod["spec"]);
        let again = convert(&typed(&once), "store", "blue", &Store);
        prop_assert_eq!(again.patch.0, vec![]);
    }
}
