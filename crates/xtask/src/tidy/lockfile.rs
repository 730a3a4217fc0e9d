//! Crates that must not be in `Cargo.lock`, or not twice.

use std::fs;

use anyhow::{Context, Result};

use super::Complaint;

/// A second crypto provider makes rustls panic; the others pull in C code or are superseded.
const FORBIDDEN: [&str; 5] = [
    "aws-lc-sys",
    "aws-lc-rs",
    "openssl-sys",
    "native-tls",
    "chrono",
];

/// Their types meet across crates, so two versions do not fit together.
const SINGLE: [&str; 7] = [
    "kube",
    "k8s-openapi",
    "json-patch",
    "rustls",
    "hyper",
    "http",
    "schemars",
];

pub(super) fn check() -> Result<Vec<Complaint>> {
    let path = testkit::assets::workspace().join("Cargo.lock");
    let text = fs::read_to_string(&path).context("cannot read Cargo.lock")?;
    Ok(complaints(&names(&text)))
}

fn names(lockfile: &str) -> Vec<&str> {
    lockfile
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .collect()
}

fn complaints(names: &[&str]) -> Vec<Complaint> {
    let count = |name: &str| names.iter().filter(|other| **other == name).count();
    let forbidden = FORBIDDEN
        .into_iter()
        .filter(|name| count(name) > 0)
        .map(|name| {
            format!("Cargo.lock: {name} is forbidden; cargo tree -i {name} shows its user")
        });
    let doubled = SINGLE
        .into_iter()
        .filter(|name| count(name) > 1)
        .map(|name| format!("Cargo.lock: two versions of {name}"));
    forbidden.chain(doubled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_and_a_doubled_crate_are_named() {
        let lockfile = "name = \"chrono\"\nname = \"kube\"\nname = \"kube\"\nname = \"serde\"\n";
        let complaints = complaints(&names(lockfile));
        assert_eq!(complaints.len(), 2);
        assert!(complaints[0].contains("chrono") && complaints[1].contains("kube"));
    }
}
