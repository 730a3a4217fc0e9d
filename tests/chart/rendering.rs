//! What the chart renders for each of its variants: sound objects, and nothing that gives away or
//! asks for more than is needed.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use api::config::Config;
use kube::ResourceExt;
use serde_json::{Value, json};
use testkit::assets::control_plane;
use testkit::assets::programs::Program;

use super::helm::{self, Rendered, chart, kind_of, refusal, variants};

#[test]
fn row_90_every_variant_lints_and_renders() -> Result<()> {
    let (chart, version) = (chart(), control_plane::version());
    let chart = chart.to_str().context("a path in UTF-8")?;
    for (name, values) in variants()? {
        let arguments = ["lint", chart, "--strict", "--kube-version", &version];
        let with_values = [&arguments[..], &["--values", "-"]].concat();
        helm::succeed(&with_values, &values).context(name.clone())?;
        let rendered = Rendered::from(&values).context(name.clone())?;
        let mut seen = std::collections::BTreeSet::new();
        for object in &rendered.objects {
            let (kind, name) = (kind_of(object).to_owned(), object.name_any());
            assert!(!kind.is_empty() && !name.is_empty());
            let identity = (kind, object.namespace(), name);
            assert!(seen.insert(identity.clone()), "twice: {identity:?}");
        }
        assert_eq!(rendered.of_kind("CustomResourceDefinition").count(), 3);
    }
    Ok(())
}

#[test]
fn row_90_the_config_of_every_variant_is_read_without_a_problem() -> Result<()> {
    for (name, values) in variants()? {
        let config = Rendered::from(&values)?.config()?;
        let parsed = Config::parse(&config).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{name}: {}\n{config}", lines.join("\n"))
        })?;
        let warned: Vec<_> = parsed
            .warnings
            .iter()
            .map(|warning| warning.key.as_str())
            .collect();
        let expected: &[&str] = match name.as_str() {
            "original-values.yaml" => &["supportSuperUserElevation", "athena-shared"],
            _ => &[],
        };
        for key in &warned {
            let is_expected = expected.iter().any(|known| key.starts_with(known));
            assert!(is_expected, "{name}: {:?}", parsed.warnings);
        }
    }
    Ok(())
}

/// Whether the program takes these arguments: with `--version` it reads all and does nothing.
fn is_taken(arguments: &[String]) -> Result<bool> {
    let status = Command::new(Program::Controller.binary()?)
        .args(arguments)
        .arg("--version")
        .output()?
        .status;
    Ok(status.success())
}

#[test]
fn row_89_the_program_takes_the_arguments_of_every_variant() -> Result<()> {
    for (name, values) in variants()? {
        let arguments = Rendered::from(&values)?.arguments()?;
        assert!(is_taken(&arguments)?, "{name}: {arguments:?}");
    }
    let wrong = ["--leader-elected".to_owned()];
    assert!(!is_taken(&wrong)?, "an unknown flag is not noticed");
    Ok(())
}

#[test]
fn row_90_the_pod_is_restricted_in_every_variant() -> Result<()> {
    for (name, values) in variants()? {
        let rendered = Rendered::from(&values)?;
        let pod = rendered.pod()?.get("securityContext").context("pod")?;
        let profile = json!({ "type": "RuntimeDefault" });
        assert_eq!(pod["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["runAsUser"], 10001, "{name}");
        assert_eq!(pod["seccompProfile"], profile, "{name}");
        let container = rendered.container()?.get("securityContext");
        let container = container.context("container")?;
        assert_eq!(container["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(container["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(container["capabilities"]["drop"], json!(["ALL"]), "{name}");
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(rendered.pod()?.get(host).is_none(), "{name}: {host}");
        }
    }
    Ok(())
}

#[test]
fn row_76_no_secret_is_in_arguments_environment_or_the_config() -> Result<()> {
    for (name, values) in variants()? {
        let rendered = Rendered::from(&values)?;
        assert_eq!(rendered.of_kind("Secret").count(), 0, "{name}");
        for argument in rendered.arguments()? {
            assert!(!argument.contains("password"), "{name}: {argument}");
        }
        for line in rendered.config()?.to_lowercase().lines() {
            let key = line.split(':').next().unwrap_or_default();
            assert!(!key.trim().ends_with("password"), "{name}: {line}");
        }
        let environment = rendered.container()?.get("env").and_then(Value::as_array);
        for variable in environment.into_iter().flatten() {
            let variable_name = variable["name"].as_str().unwrap_or_default();
            let known = [
                "SERVICE_NAMESPACE",
                "RUST_BACKTRACE",
                "DBPROXY_IMAGE",
                "DSNEXEC_IMAGE",
            ];
            let is_known = known.contains(&variable_name);
            assert!(is_known, "{name}: {variable}");
            assert!(variable.pointer("/valueFrom/secretKeyRef").is_none());
        }
        assert!(rendered.container()?.get("envFrom").is_none(), "{name}");
    }
    Ok(())
}

#[test]
fn row_80_no_role_of_any_variant_has_a_wildcard() -> Result<()> {
    for (name, values) in variants()? {
        let rendered = Rendered::from(&values)?;
        for kind in ["Role", "ClusterRole"] {
            for role in rendered.of_kind(kind) {
                let rules = role.data.get("rules").context("a role without rules")?;
                let text = rules.to_string();
                assert!(!text.contains('*'), "{name}: {} {text}", role.name_any());
            }
        }
        // No other subject than the controller gets anything.
        for kind in ["RoleBinding", "ClusterRoleBinding"] {
            for binding in rendered.of_kind(kind) {
                let subjects = &binding.data["subjects"];
                assert_eq!(subjects.as_array().map(Vec::len), Some(1), "{name}");
                assert_eq!(subjects[0]["kind"], "ServiceAccount", "{name}");
                assert_eq!(subjects[0]["namespace"], helm::NAMESPACE, "{name}");
            }
        }
    }
    Ok(())
}

#[test]
fn row_80_in_namespaced_mode_no_cluster_role_of_the_controller_names_secrets() -> Result<()> {
    let rendered = Rendered::from("watchNamespaces: [shop]")?;
    for role in rendered.of_kind("ClusterRole") {
        let rules = role.data["rules"].to_string();
        assert!(!rules.contains("\"secrets\""), "{}", role.name_any());
    }
    let namespaces: Vec<_> = rendered
        .of_kind("Role")
        .filter_map(ResourceExt::namespace)
        .collect();
    assert!(namespaces.iter().any(|namespace| namespace == "shop"));
    let is_allowed = |namespace: &String| ["shop", helm::NAMESPACE].contains(&namespace.as_str());
    assert!(namespaces.iter().all(is_allowed), "{namespaces:?}");
    let cluster = Rendered::from("")?;
    let manager = cluster.object("ClusterRole", "blue-db-controller-manager-role")?;
    assert!(manager.data["rules"].to_string().contains("\"secrets\""));
    Ok(())
}

#[test]
fn tools_of_service_binding_may_read_claims_and_nothing_else() -> Result<()> {
    let rendered = Rendered::from("")?;
    let label = "servicebinding.io/controller";
    let roles: Vec<_> = rendered
        .of_kind("ClusterRole")
        .filter(|role| role.labels().contains_key(label))
        .collect();
    let [role] = roles.as_slice() else {
        anyhow::bail!("{} roles", roles.len());
    };
    let wanted = json!([{
        "apiGroups": ["persistance.atlas.infoblox.com"],
        "resources": ["databaseclaims", "dbroleclaims"],
        "verbs": ["get", "list", "watch"],
    }]);
    assert_eq!(role.data["rules"], wanted);
    let found = rendered.of_kind("CustomResourceDefinition").filter(|crd| {
        let label = crd.labels().get("servicebinding.io/provisioned-service");
        label.is_some_and(|label| label == "true")
    });
    assert_eq!(found.count(), 2);
    Ok(())
}

/// A value that is refused, and what the refusal must name.
const REFUSED: [(&str, &str); 24] = [
    ("replicaCount: two", "replicaCount"),
    ("env: ''", "env"),
    ("dbController: {class: Not_A_Label}", "class"),
    ("watchNamespaces: shop", "watchNamespaces"),
    ("watchNamespaces: [Shop]", "watchNamespaces"),
    ("controllerConfig: {cloud: azure}", "cloud"),
    ("controllerConfig: {authSource: aws}", "authSource"),
    (
        "controllerConfig: {defaultSslMode: yes please}",
        "defaultSslMode",
    ),
    (
        "controllerConfig: {defaultMasterPort: high}",
        "defaultMasterPort",
    ),
    (
        "controllerConfig: {supportSuperUserElevation: perhaps}",
        "supportSuperUserElevation",
    ),
    (
        "controllerConfig: {passwordConfig: {passwordRotationPeriod: soon}}",
        "passwordRotationPeriod",
    ),
    (
        "controllerConfig: {passwordConfig: {minPasswordLength: long}}",
        "minPasswordLength",
    ),
    (
        "controllerConfig: {passwordConfig: {passwordComplexity: some}}",
        "passwordComplexity",
    ),
    (
        "controllerConfig: {defaultReclaimPolicy: keep}",
        "defaultReclaimPolicy",
    ),
    ("image: {pullPolicy: Sometimes}", "pullPolicy"),
    ("metrics: {port: 80800}", "port"),
    ("metrics: {secure: 'yes'}", "secure"),
    ("pdb: {maxUnavailable: most}", "maxUnavailable"),
    ("zapLogger: {encoding: xml}", "encoding"),
    ("zapLogger: {level: loud}", "level"),
    (
        "podAnnotations: {prometheus.io/port: 8080}",
        "podAnnotations/prometheus.io~1port",
    ),
    ("crds: {install: 'no'}", "install"),
    ("autoscaling: {enabled: true}", "autoscaling.enabled"),
    ("metrics: {port: 8081}", "healthProbe.port"),
];

#[test]
fn row_90_a_wrong_value_is_refused_and_its_key_named() -> Result<()> {
    for (values, key) in REFUSED {
        let words = refusal(values)?;
        ensure!(words.contains(key), "{values} is refused by: {words}");
    }
    Ok(())
}
