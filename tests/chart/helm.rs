//! helm as users run it, and what it renders as objects.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;
use testkit::assets::{control_plane, helm, workspace};

pub(super) const RELEASE: &str = "blue";
pub(super) const NAMESPACE: &str = "ops";

pub(super) fn chart() -> PathBuf {
    workspace().join("charts/db-controller")
}

/// Runs helm to its end, with `input` as what it reads for `-`.
pub(super) fn run(arguments: &[&str], input: &str) -> Result<Output> {
    let mut helm = Command::new(helm::binary()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run helm")?;
    let mut stdin = helm.stdin.take().context("helm has an input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    Ok(helm.wait_with_output()?)
}

/// Runs helm and returns what it prints; a failure is an error with its words.
pub(super) fn succeed(arguments: &[&str], input: &str) -> Result<String> {
    let output = run(arguments, input)?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {arguments:?}: {words}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What helm says when it refuses these values.
pub(super) fn refusal(values: &str) -> Result<String> {
    let output = template(&control_plane::version(), values)?;
    ensure!(!output.status.success(), "taken: {values}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn template(version: &str, values: &str) -> Result<Output> {
    let chart = chart();
    let chart = chart.to_str().context("a path in UTF-8")?;
    let target = ["--namespace", NAMESPACE, "--kube-version", version];
    let arguments = ["template", RELEASE, chart, "--values", "-"];
    run(&[&arguments[..], &target].concat(), values)
}

/// The chart's variants: name and content of each values file.
pub(super) fn variants() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(chart().join("ci"))? {
        let path = entry?.path();
        found.push((name_of(&path), std::fs::read_to_string(&path)?));
    }
    ensure!(!found.is_empty(), "the chart has no values files");
    Ok(found)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// All objects of one release.
pub(super) struct Rendered {
    pub(super) objects: Vec<DynamicObject>,
}

impl Rendered {
    pub(super) fn from(values: &str) -> Result<Self> {
        Self::at(&control_plane::version(), values)
    }

    /// As it is rendered for a cluster of that version.
    pub(super) fn at(version: &str, values: &str) -> Result<Self> {
        let output = template(version, values)?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words}");
        let yaml = String::from_utf8(output.stdout)?;
        let objects: Vec<Option<DynamicObject>> =
            serde_saphyr::from_multiple(&yaml).context("what helm rendered")?;
        Ok(Self {
            objects: objects.into_iter().flatten().collect(),
        })
    }

    pub(super) fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &DynamicObject> {
        let is_it = move |object: &&DynamicObject| kind_of(object) == kind;
        self.objects.iter().filter(is_it)
    }

    pub(super) fn object(&self, kind: &'static str, name: &str) -> Result<&DynamicObject> {
        self.of_kind(kind)
            .find(|object| object.name_any() == name)
            .with_context(|| format!("no {kind} {name}"))
    }

    /// The only one of its kind.
    pub(super) fn only(&self, kind: &'static str) -> Result<&DynamicObject> {
        let all: Vec<_> = self.of_kind(kind).collect();
        ensure!(all.len() == 1, "{} of kind {kind}", all.len());
        all.first().copied().context("there is one")
    }

    /// The pod template's spec.
    pub(super) fn pod(&self) -> Result<&Value> {
        let deployment = self.only("Deployment")?;
        deployment
            .data
            .pointer("/spec/template/spec")
            .context("a Deployment without pod")
    }

    pub(super) fn container(&self) -> Result<&Value> {
        let containers = self.pod()?.get("containers").and_then(Value::as_array);
        let containers = containers.context("a pod without containers")?;
        ensure!(containers.len() == 1, "{} containers", containers.len());
        containers.first().context("there is one")
    }

    pub(super) fn arguments(&self) -> Result<Vec<String>> {
        let arguments = self.container()?.get("args").context("no arguments")?;
        Ok(serde_json::from_value(arguments.clone())?)
    }

    /// The configuration that the pod mounts.
    pub(super) fn config(&self) -> Result<String> {
        let volumes = self.pod()?.get("volumes").and_then(Value::as_array);
        let mut names = volumes.into_iter().flatten().filter_map(|volume| {
            let name = volume.pointer("/configMap/name")?;
            name.as_str()
        });
        let map = self.object(
            "ConfigMap",
            names.next().context("no ConfigMap is mounted")?,
        )?;
        let text = map
            .data
            .pointer("/data/config.yaml")
            .and_then(Value::as_str);
        text.map(ToOwned::to_owned).context("no config.yaml")
    }
}

pub(super) fn kind_of(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| &types.kind)
}
