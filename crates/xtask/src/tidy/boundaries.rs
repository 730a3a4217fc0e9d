//! Which crate may depend on which, read from the manifests.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Complaint;

/// Crates that are never part of a shipped binary.
const UNSHIPPED: [&str; 3] = ["db-controller-testkit", "xtask", "db-controller-tests"];

/// A crate and direct dependencies that it must not have.
const FORBIDDEN: [(&str, &[&str]); 12] = [
    (
        "db-controller-api",
        &["tokio", "sqlx", "mongodb", "reqwest"],
    ),
    (
        "db-controller-engine",
        &["tokio", "kube", "sqlx", "mongodb"],
    ),
    (
        "db-controller-postgres",
        &["kube", "k8s-openapi", "mongodb", "db-controller-core"],
    ),
    (
        "db-controller-mongo",
        &["kube", "k8s-openapi", "sqlx", "db-controller-core"],
    ),
    (
        "db-controller-core",
        &["sqlx", "mongodb", "db-controller-webhook"],
    ),
    (
        "db-controller-webhook",
        &[
            "sqlx",
            "mongodb",
            "db-controller-engine",
            "db-controller-postgres",
            "db-controller-mongo",
            "db-controller-core",
        ],
    ),
    (
        "db-controller-dbproxy",
        &[
            "kube",
            "k8s-openapi",
            "db-controller-api",
            "db-controller-engine",
            "db-controller-core",
        ],
    ),
    (
        "db-controller-mongo-proxy",
        &[
            "kube",
            "k8s-openapi",
            "sqlx",
            "mongodb",
            "db-controller-api",
            "db-controller-engine",
            "db-controller-core",
        ],
    ),
    (
        "db-controller-dsnexec",
        &[
            "kube",
            "k8s-openapi",
            "db-controller-api",
            "db-controller-engine",
            "db-controller-core",
        ],
    ),
    (
        "kubectl-dbclaim",
        &["sqlx", "mongodb", "db-controller-core"],
    ),
    (
        "db-controller-program",
        &[
            "kube",
            "sqlx",
            "axum",
            "db-controller-api",
            "db-controller-hotload",
        ],
    ),
    (
        "db-controller-hotload",
        &[
            "kube",
            "k8s-openapi",
            "sqlx",
            "db-controller-api",
            "db-controller-core",
        ],
    ),
];

/// Asked for by the project's owner: each is a direct dependency of a shipped crate.
const WANTED: [&str; 10] = [
    "kube",
    "k8s-openapi",
    "json-patch",
    "serde",
    "tokio",
    "axum",
    "rustls",
    "sqlx",
    "passwords",
    "prometheus",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for a normal one.
    kind: Option<String>,
}

impl Package {
    fn uses(&self, name: &str) -> bool {
        self.dependencies
            .iter()
            .any(|other| other.kind.is_none() && other.name == name)
    }
}

pub(super) fn check() -> Result<Vec<Complaint>> {
    let output = Command::new("cargo")
        .current_dir(testkit::assets::workspace())
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cannot read cargo metadata")?;
    Ok(complaints(&metadata.packages))
}

fn complaints(packages: &[Package]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        for package in packages.iter().filter(|package| package.name == name) {
            for dependency in forbidden
                .iter()
                .filter(|dependency| package.uses(dependency))
            {
                complaints.push(format!("{name}: must not depend on {dependency}"));
            }
        }
    }
    let shipped: Vec<&Package> = packages
        .iter()
        .filter(|package| !UNSHIPPED.contains(&package.name.as_str()))
        .collect();
    for package in &shipped {
        for tool in UNSHIPPED.iter().filter(|tool| package.uses(tool)) {
            complaints.push(format!(
                "{}: ships {tool}, which is for tests",
                package.name
            ));
        }
    }
    for wanted in WANTED {
        if !shipped.iter().any(|package| package.uses(wanted)) {
            complaints.push(format!("{wanted}: no shipped crate depends on it"));
        }
    }
    complaints
}
