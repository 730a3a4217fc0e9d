//! The original chart's values keep their names, and each lands where it did.

use anyhow::{Context, Result};
use api::config::Config;
use kube::ResourceExt;
use serde_json::json;

use super::helm::Rendered;

/// Every key of the original that has an effect here, each with a value that is no default.
const VALUES: &str = r#"
replicaCount: 3
env: prod-1
lifecycle: prod
ib: {realm: eu}
dbController: {class: green}
controllerConfig:
  region: eu-central-1
  passwordConfig: {passwordRotationPeriod: "120", minPasswordLength: "30"}
image: {repository: registry.example/it, pullPolicy: Always, tag: v7}
imagePullSecrets: [{name: pull}]
dbproxy: {enabled: true, image: {repository: registry.example/dbproxy, tag: v1}}
dsnexec: {enabled: true, image: {repository: registry.example/dsnexec, tag: v1}}
deprecationConversionWebhook: {enabled: true}
probes: {liveness: {enabled: true}, readiness: {enabled: false}}
metrics: {port: 8090}
healthProbe: {port: 8091}
webhook: {port: 9444}
service: {type: NodePort, port: 8444}
podAnnotations: {example.com/team: "{{ .Values.env }}"}
podSecurityContext: {fsGroup: 20002}
securityContext: {runAsUser: 20001}
resources: {limits: {memory: 1Gi}}
autoscaling: {enabled: false, minReplicas: 1, maxReplicas: 100}
pdb: {enabled: true, maxUnavailable: 33%}
zapLogger: {encoding: console, level: debug, timeEncoding: epoch}
serviceAccount: {create: true, name: dbc, annotations: {example.com/role: databases}}
nodeSelector: {disk: fast}
tolerations: [{operator: Exists}]
affinity: {podAntiAffinity: {}}
nameOverride: dbs
fullnameOverride: all-dbs
terminationGracePeriodSeconds: 77
secrets: {enabled: false}
postgresql: {enabled: false}
tools: {kubectl: {image: kubectl}}
xr: {create: true}
xrd: {create: true}
dashboard: {enabled: true, alert: false}
"#;

#[test]
fn row_90_the_originals_values_land_in_the_deployment() -> Result<()> {
    let rendered = Rendered::from(VALUES)?;
    let deployment = rendered.object("Deployment", "all-dbs")?;
    let expected = [
        ("/spec/replicas", json!(3)),
        (
            "/spec/template/spec/imagePullSecrets",
            json!([{ "name": "pull" }]),
        ),
        ("/spec/template/spec/serviceAccountName", json!("dbc")),
        ("/spec/template/spec/securityContext/fsGroup", json!(20002)),
        (
            "/spec/template/spec/securityContext/runAsNonRoot",
            json!(true),
        ),
        (
            "/spec/template/spec/terminationGracePeriodSeconds",
            json!(77),
        ),
        (
            "/spec/template/spec/nodeSelector",
            json!({ "disk": "fast" }),
        ),
        (
            "/spec/template/spec/tolerations",
            json!([{ "operator": "Exists" }]),
        ),
        (
            "/spec/template/spec/affinity",
            json!({ "podAntiAffinity": {} }),
        ),
        (
            "/spec/template/metadata/annotations/example.com~1team",
            json!("prod-1"),
        ),
        (
            "/spec/template/metadata/annotations/prometheus.io~1scrape",
            json!("true"),
        ),
        (
            "/spec/template/metadata/annotations/prometheus.io~1port",
            json!("8090"),
        ),
    ];
    for (pointer, value) in expected {
        assert_eq!(deployment.data.pointer(pointer), Some(&value), "{pointer}");
    }
    Ok(())
}

#[test]
fn row_90_the_originals_values_land_in_the_container() -> Result<()> {
    let rendered = Rendered::from(VALUES)?;
    let container = rendered.container()?;
    let expected = [
        ("/name", json!("manager")),
        ("/command", json!(["/manager"])),
        ("/image", json!("registry.example/it:v7")),
        ("/imagePullPolicy", json!("Always")),
        ("/securityContext/runAsUser", json!(20001)),
        ("/securityContext/readOnlyRootFilesystem", json!(true)),
        ("/resources/limits/memory", json!("1Gi")),
        ("/resources/requests/cpu", json!("100m")),
        ("/ports/0/containerPort", json!(8090)),
        ("/ports/1/containerPort", json!(8091)),
        ("/ports/2/containerPort", json!(9444)),
        ("/env/1/name", json!("DBPROXY_IMAGE")),
        ("/env/1/value", json!("registry.example/dbproxy:v1")),
        ("/env/2/name", json!("DSNEXEC_IMAGE")),
        ("/env/2/value", json!("registry.example/dsnexec:v1")),
        ("/livenessProbe/httpGet/path", json!("/healthz")),
        ("/readinessProbe/httpGet/path", json!("/readyz")),
    ];
    for (pointer, value) in expected {
        assert_eq!(container.pointer(pointer), Some(&value), "{pointer}");
    }
    let arguments = rendered.arguments()?;
    for argument in [
        "--class=green",
        "--config-file=/etc/config/config.yaml",
        "--metrics-bind-address=:8090",
        "--health-probe-bind-address=:8091",
        "--leader-elect",
        "--zap-encoder=console",
        "--zap-log-level=debug",
        "--zap-time-encoding=epoch",
        "--webhook-bind-address=:9444",
        "--enable-sidecar-readiness-probe=false",
        "--enable-sidecar-liveness-probe=true",
    ] {
        assert!(
            arguments.iter().any(|given| given == argument),
            "{argument}"
        );
    }
    Ok(())
}

#[test]
fn row_90_the_originals_values_land_in_the_other_objects() -> Result<()> {
    let rendered = Rendered::from(VALUES)?;
    // The names that the original fixed.
    rendered.object("ConfigMap", "dbs-config")?;
    rendered.object("ClusterRole", "all-dbs-manager-role")?;
    let service = rendered.object("Service", "all-dbs")?;
    assert_eq!(service.data["spec"]["type"], "NodePort");
    let ports = service.data["spec"]["ports"].to_string();
    for port in ["8444", "dbproxy-webhook", "9444"] {
        assert!(ports.contains(port), "{ports}");
    }
    let guards = rendered.object("ValidatingWebhookConfiguration", "all-dbs-validation-cfg")?;
    let guards = guards.data["webhooks"].as_array().map(Vec::len);
    assert_eq!(guards, Some(2));
    let mutations = rendered.object("MutatingWebhookConfiguration", "all-dbs-mutation-cfg")?;
    let names = mutations.data["webhooks"].as_array().context("hooks")?;
    let names: Vec<_> = names
        .iter()
        .filter_map(|hook| hook["name"].as_str())
        .collect();
    let expected = ["podconversion", "dbproxy", "dsnexec"];
    assert_eq!(
        names,
        expected.map(|it| format!("{it}.persistance.atlas.infoblox.com"))
    );
    let election = rendered.object("Role", "dbs-leader-election-role")?;
    assert!(
        election.data["rules"]
            .to_string()
            .contains("green.32151587.atlas.infoblox.com")
    );
    let account = rendered.object("ServiceAccount", "dbc")?;
    assert_eq!(account.annotations()["example.com/role"], "databases");
    let budget = rendered.object("PodDisruptionBudget", "all-dbs")?;
    assert_eq!(
        budget.types.as_ref().context("types")?.api_version,
        "policy/v1"
    );
    assert_eq!(budget.data["spec"]["maxUnavailable"], "33%");
    assert!(rendered.of_kind("ConfigMap").count() >= 2, "the dashboard");
    for kind in ["HorizontalPodAutoscaler", "Job", "PrometheusRule"] {
        assert_eq!(rendered.of_kind(kind).count(), 0, "{kind}");
    }
    Ok(())
}

#[test]
fn row_90_the_originals_values_land_in_the_config() -> Result<()> {
    let text = Rendered::from(VALUES)?.config()?;
    let parsed = Config::parse(&text).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let config = parsed.config;
    assert_eq!(config.env, "prod-1");
    assert_eq!(config.password.min_length, 30);
    assert_eq!(config.password.rotation_period.as_secs(), 2 * 3600);
    let functions = [
        ("ib_env", "prod-1"),
        ("ib_lifecycle", "prod"),
        ("ib_realm", "eu"),
    ];
    for (name, value) in functions {
        assert_eq!(
            config.system_functions.get(name).map(String::as_str),
            Some(value)
        );
    }
    // What the values leave out keeps the original's default.
    assert_eq!(config.default_master_port, 5432);
    assert_eq!(config.default_master_username, "root");
    assert!(!config.support_super_user_elevation);
    Ok(())
}

#[test]
fn row_90_without_any_value_names_and_sizes_are_the_originals() -> Result<()> {
    let rendered = Rendered::from("")?;
    let deployment = rendered.object("Deployment", "blue-db-controller")?;
    // Two, where the original has one: they answer the webhook.
    assert_eq!(deployment.data["spec"]["replicas"], 2);
    assert_eq!(rendered.of_kind("PodDisruptionBudget").count(), 1);
    rendered.object("ConfigMap", "db-controller-config")?;
    let container = rendered.container()?;
    let resources = json!({
        "requests": { "cpu": "100m", "memory": "256Mi" }, "limits": { "memory": "512Mi" }
    });
    assert_eq!(container["resources"], resources);
    assert_eq!(container["image"], "localhost/db-controller:0.1.0");
    assert_eq!(rendered.pod()?["terminationGracePeriodSeconds"], 10);
    let arguments = rendered.arguments()?;
    assert!(
        !arguments
            .iter()
            .any(|given| given.contains("watch-namespaces"))
    );
    assert!(
        !arguments
            .iter()
            .any(|given| given.contains("metrics-secure"))
    );
    Ok(())
}
