//! Pods, one property each, and what becomes of them.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Refusal, mutate};
use crate::{
    known::{Engine, Known, Published},
    settings::{Form, Settings, UnknownClaim},
};

/// One namespace `store` with a claim `shop` on PostgreSQL and a claim `desktop` on MongoDB, whose
/// Secret is `orders-dsn`.
pub(super) struct Store;

impl Known for Store {
    fn published(&self, ns: &str, claim: &str) -> Option<Published> {
        let engine = match claim {
            "shop" => Engine::Postgres,
            "desktop" => Engine::Mongo,
            _ => return None,
        };
        let secret = "orders-dsn".to_owned();
        (ns == "store").then_some(Published { secret, engine })
    }

    fn claim_of(&self, ns: &str, secret: &str) -> Option<String> {
        ((ns, secret) == ("store", "orders-dsn")).then(|| "shop".to_owned())
    }

    fn is_terminating(&self, _ns: &str) -> bool {
        false
    }
}

pub(super) fn settings(form: Form) -> Settings {
    Settings {
        form,
        ..Settings::new("blue", "proxy:1", "exec:1")
    }
}

/// A pod that asks for both sidecars.
fn labelled() -> Value {
    json!({
        "metadata": {
            "generateName": "till-",
            "labels": {
                "persistance.atlas.infoblox.com/claim": "shop",
                "persistance.atlas.infoblox.com/class": "blue",
                "persistance.atlas.infoblox.com/dbproxy": "enabled",
                "persistance.atlas.infoblox.com/dsnexec": "enabled",
                "persistance.atlas.infoblox.com/dsnexec-config": "statements",
            },
        },
        "spec": {"containers": [{"name": "till", "image": "till:3"}]},
    })
}

/// [`labelled`] with the merge patch `change` applied: null removes.
fn pod(change: &Value) -> Value {
    let mut pod = labelled();
    json_patch::merge(&mut pod, change);
    pod
}

fn ours(name: &str) -> String {
    format!("persistance.atlas.infoblox.com/{name}")
}

fn run(pod: &Value, settings: &Settings) -> Result<(Value, Vec<String>), Refusal> {
    let typed: Pod = serde_json::from_value(pod.clone()).unwrap();
    let change = mutate(&typed, "store", settings, &Store)?;
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &change.patch).unwrap();
    Ok((patched, change.warnings))
}

fn mutated(change: &Value, form: Form) -> Value {
    run(&pod(change), &settings(form)).unwrap().0
}

fn refusal(change: &Value) -> String {
    let refused = run(&pod(change), &settings(Form::Native));
    refused.unwrap_err().to_string()
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|it| it["name"].as_str()).collect()
}

#[test]
fn row_53_both_sidecars_come_with_the_names_of_the_original() {
    let pod = mutated(&json!({}), Form::Plain);
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations[ours("injected-dbproxy")], "true");
    assert_eq!(annotations[ours("injected-dsnexec")], "true");
    let spec = &pod["spec"];
    assert_eq!(names(&spec["containers"]), ["till", "dbproxy", "dsnexec"]);
    let wanted = [
        "dbproxydsn",
        "dbproxy-run",
        "db-dsn",
        "dsnexec-config",
        "dsnexec-tmp",
    ];
    assert_eq!(names(&spec["volumes"]), wanted);
    assert_eq!(spec["volumes"][0]["secret"]["secretName"], "orders-dsn");
    assert_eq!(spec["volumes"][2]["secret"]["secretName"], "orders-dsn");
    assert_eq!(spec["volumes"][3]["secret"]["secretName"], "statements");

    let dbproxy = &spec["containers"][1];
    assert_eq!(dbproxy["image"], "proxy:1");
    assert_eq!(dbproxy["imagePullPolicy"], "IfNotPresent");
    let mount = json!({"name": "dbproxydsn", "mountPath": "/dbproxy", "readOnly": true});
    assert_eq!(dbproxy["volumeMounts"][0], mount);
    let env = json!({"name": "DBPROXY_CREDENTIAL", "value": "/dbproxy/uri_dsn.txt"});
    assert_eq!(dbproxy["env"][0], env);

    let dsnexec = &spec["containers"][2];
    let args = json!(["run", "--config-file", "/var/run/dsn-exec/config.yaml"]);
    assert_eq!(dsnexec["args"], args);
    assert_eq!(dsnexec["volumeMounts"][0]["mountPath"], "/var/run/db-dsn");
    assert_eq!(dsnexec["volumeMounts"][1]["mountPath"], "/var/run/dsn-exec");
    assert_eq!(dsnexec["env"][0]["value"], "/var/run/db-dsn/uri_dsn.txt");
}

#[test]
fn the_proxy_is_that_of_the_claims_engine() {
    for (claim, engine, port) in [
        ("shop", "postgres", "5432"),
        ("desktop", "mongodb", "27017"),
    ] {
        let change = json!({"metadata": {"labels": {ours("claim"): claim}}});
        let pod = mutated(&change, Form::Plain);
        let env = pod["spec"]["containers"][1]["env"].as_array().unwrap();
        for (name, value) in [("DBPROXY_ENGINE", engine), ("DBPROXY_PORT", port)] {
            assert!(
                env.contains(&json!({"name": name, "value": value})),
                "{env:?}"
            );
        }
    }
}

#[test]
fn row_53_each_label_asks_for_its_own_sidecar() {
    let only_proxy = json!({"metadata": {"labels": {ours("dsnexec"): "no"}}});
    let pod = mutated(&only_proxy, Form::Plain);
    assert_eq!(names(&pod["spec"]["containers"]), ["till", "dbproxy"]);
    let only_exec = json!({"metadata": {"labels": {ours("dbproxy"): null}}});
    let pod = mutated(&only_exec, Form::Plain);
    assert_eq!(names(&pod["spec"]["containers"]), ["till", "dsnexec"]);
}

#[test]
fn row_5_and_53_pods_of_another_class_or_without_a_wish_stay_as_they_are() {
    for labels in [
        json!({ours("class"): null}),
        json!({ours("class"): "green"}),
        json!({ours("dbproxy"): "true", ours("dsnexec"): null}),
        Value::Null,
    ] {
        let change = json!({"metadata": {"labels": labels}});
        assert_eq!(mutated(&change, Form::Native), pod(&change));
    }
}

#[test]
fn row_53_a_name_too_long_for_a_label_comes_as_an_annotation() {
    let name = "s".repeat(200);
    let change = json!({"metadata": {
        "labels": {ours("dsnexec-config"): null},
        "annotations": {ours("dsnexec-config"): name},
    }});
    let (pod, warnings) = run(&pod(&change), &settings(Form::Native)).unwrap();
    assert_eq!(pod["spec"]["volumes"][3]["secret"]["secretName"], name);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn row_54_native_sidecars_start_before_all_init_containers_and_let_jobs_end() {
    for (change, rest) in [
        (json!({}), &[][..]),
        (
            json!({"spec": {"initContainers": [{"name": "migrate"}]}}),
            &["migrate"],
        ),
    ] {
        let pod = mutated(&change, Form::Native);
        let wanted = [&["dbproxy", "dsnexec"], rest].concat();
        let spec = &pod["spec"];
        assert_eq!(names(&spec["initContainers"]), wanted);
        assert_eq!(names(&spec["containers"]), ["till"]);
        for sidecar in &spec["initContainers"].as_array().unwrap()[..2] {
            assert_eq!(sidecar["restartPolicy"], "Always");
            assert_eq!(sidecar["startupProbe"]["httpGet"]["path"], "/healthz");
        }
    }
}

#[test]
fn row_56_sidecars_fit_the_restricted_standard() {
    let pod = mutated(&json!({}), Form::Native);
    for sidecar in pod["spec"]["initContainers"].as_array().unwrap() {
        let wanted = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 65532,
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        assert_eq!(sidecar["securityContext"], wanted);
        let requests = json!({"cpu": "10m", "memory": "32Mi"});
        assert_eq!(sidecar["resources"]["requests"], requests);
    }
    for volume in ["dbproxy-run", "dsnexec-tmp"] {
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|it| it["name"] == volume).unwrap();
        assert_eq!(volume["emptyDir"]["medium"], "Memory");
    }
}

#[test]
fn row_57_liveness_is_the_process_and_readiness_the_server() {
    let mut settings = settings(Form::Native);
    settings.probes.liveness = true;
    let (pod, _) = run(&labelled(), &settings).unwrap();
    let dbproxy = &pod["spec"]["initContainers"][0];
    let path = |probe: &str| dbproxy[probe]["httpGet"]["path"].clone();
    assert_eq!(path("livenessProbe"), "/healthz");
    assert_eq!(path("readinessProbe"), "/readyz");
    assert_eq!(dbproxy["readinessProbe"]["httpGet"]["port"], 9127);
    settings.probes.readiness = false;
    settings.probes.liveness = false;
    let (pod, _) = run(&labelled(), &settings).unwrap();
    let dbproxy = &pod["spec"]["initContainers"][0];
    assert_eq!(dbproxy["livenessProbe"], Value::Null);
    assert_eq!(dbproxy["readinessProbe"], Value::Null);
}

#[test]
fn row_53_annotations_tune_one_pod() {
    let change = json!({"metadata": {"annotations": {
        ours("dbproxy-port"): "6432",
        ours("dbproxy-image"): "mirror/proxy:2",
        ours("dbproxy-pool-mode"): "session",
        ours("dbproxy-pool-size"): "7",
        ours("dbproxy-dsn-key"): "ro_uri_dsn.txt",
        ours("dbproxy-memory-limit"): "64Mi",
        ours("dbproxy-health-port"): "9000",
        ours("dsnexec-log-level"): "debug",
    }}});
    let pod = mutated(&change, Form::Native);
    let [dbproxy, dsnexec] = [0, 1].map(|index| &pod["spec"]["initContainers"][index]);
    let variable = |sidecar: &Value, name: &str| {
        let env = sidecar["env"].as_array().unwrap().clone();
        let found = env.into_iter().find(|it| it["name"] == name);
        found.map(|it| it["value"].clone())
    };
    for (name, value) in [
        ("DBPROXY_PORT", "6432"),
        ("DBPROXY_POOL_MODE", "session"),
        ("DBPROXY_POOL_SIZE", "7"),
        ("DBPROXY_CREDENTIAL", "/dbproxy/ro_uri_dsn.txt"),
        ("DBPROXY_HEALTH_PORT", "9000"),
        ("DBPROXY_LOG_LEVEL", "info"),
    ] {
        assert_eq!(variable(dbproxy, name), Some(json!(value)), "{name}");
    }
    assert_eq!(dbproxy["image"], "mirror/proxy:2");
    assert_eq!(dbproxy["resources"]["limits"], json!({"memory": "64Mi"}));
    assert_eq!(dbproxy["readinessProbe"]["httpGet"]["port"], 9000);
    assert_eq!(variable(dsnexec, "DSNEXEC_LOG_LEVEL"), Some(json!("debug")));
}

#[test]
fn row_53_what_is_unknown_is_a_warning_and_what_is_wrong_a_refusal() {
    let unknown = json!({"metadata": {"annotations": {ours("dbproxy-colour"): "red"}}});
    let (_, warnings) = run(&pod(&unknown), &settings(Form::Native)).unwrap();
    let wanted = "annotation persistance.atlas.infoblox.com/dbproxy-colour is not known and has \
                  no effect";
    assert_eq!(warnings, [wanted]);
    let wrong = json!({"metadata": {"annotations": {ours("dsnexec-health-port"): "80"}}});
    assert_eq!(
        refusal(&wrong),
        "annotation persistance.atlas.infoblox.com/dsnexec-health-port must be a port from 1024 \
         to 65535, not '80': correct or remove it"
    );
}

#[test]
fn what_only_pgbouncer_has_is_said_of_a_pod_on_mongodb() {
    let on_mongo = |annotation: &str, value: &str| {
        json!({"metadata": {
            "labels": {ours("claim"): "desktop"}, "annotations": {ours(annotation): value},
        }})
    };
    let idle = on_mongo("dbproxy-pool-mode", "session");
    let (_, warnings) = run(&pod(&idle), &settings(Form::Native)).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("dbproxy-pool-mode has no effect"));
    let missing = on_mongo("dbproxy-dsn-key", "ro_uri_dsn.txt");
    assert!(refusal(&missing).contains("uri_dsn.txt or uri, as the claim is on MongoDB"));
}

#[test]
fn row_56_conflicts_are_refused_with_what_to_change() {
    let port = |number: u16| json!({"spec": {"containers": [{"name": "till", "ports": [{"containerPort": number}]}]}});
    let check = |change: &Value, wanted: &str| {
        let refusal = refusal(change);
        assert!(refusal.contains(wanted), "{refusal}");
    };
    check(
        &port(5432),
        "port 5432 is taken by container till, and dbproxy listens on it: set annotation \
         persistance.atlas.infoblox.com/dbproxy-port to a free port",
    );
    check(&port(9128), "dsnexec-health-port to a free port");
    let same = json!({"metadata": {"annotations": {ours("dsnexec-health-port"): "9127"}}});
    check(&same, "port 9127 is taken by container dbproxy");
    let same = json!({"metadata": {"annotations": {ours("dbproxy-port"): "9127"}}});
    check(&same, "port 9127 is taken by container dbproxy");
    let volume = json!({"spec": {"volumes": [{"name": "db-dsn", "emptyDir": {}}]}});
    check(&volume, "another volume named db-dsn");
    let container = json!({"spec": {"initContainers": [{"name": "dsnexec"}]}});
    check(&container, "a container named dsnexec already");
    check(
        &json!({"spec": {"hostNetwork": true}}),
        "remove hostNetwork",
    );
    check(&json!({"spec": {"os": {"name": "windows"}}}), "Linux only");
    let label = |name: &str, value: Value| json!({"metadata": {"labels": {ours(name): value}}});
    check(
        &label("claim", Value::Null),
        "label persistance.atlas.infoblox.com/claim is missing or empty: set it to the name of a \
         DatabaseClaim or DbRoleClaim in namespace store",
    );
    check(&label("claim", json!("")), "missing or empty");
    check(&label("dsnexec-config", Value::Null), "is not named");
}

#[test]
fn row_56_what_does_not_collide_is_taken_as_it_is() {
    let udp = json!([{"containerPort": 5432, "protocol": "UDP"}]);
    let change = json!({"spec": {
        "containers": [{"name": "till", "ports": udp}],
        "volumes": [{"name": "db-dsn", "secret": {"secretName": "orders-dsn", "defaultMode": 420}}],
    }});
    let pod = mutated(&change, Form::Native);
    let volumes = names(&pod["spec"]["volumes"]);
    let count = volumes.iter().filter(|name| **name == "db-dsn").count();
    assert_eq!(count, 1);
    assert_eq!(volumes.len(), 5);
}

#[test]
fn row_55_an_unknown_claim_is_refused_or_waited_for() {
    let change = json!({"metadata": {"labels": {ours("claim"): "shoop"}}});
    assert_eq!(
        refusal(&change),
        "unable to locate databaseclaim/dbroleclaim: namespace store has no claim named shoop; \
         create it before the pod, or correct label persistance.atlas.infoblox.com/claim"
    );
    let settings = Settings {
        unknown_claim: UnknownClaim::Inject,
        ..settings(Form::Native)
    };
    let (pod, warnings) = run(&pod(&change), &settings).unwrap();
    assert_eq!(pod["spec"]["volumes"][0]["secret"]["secretName"], "shoop");
    assert_eq!(warnings.len(), 1);
}
