//! Our programs, built to be given to somebody.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Builds binaries of packages with a profile of cargo's; returns the folder that they are in.
pub(crate) fn build<'a>(
    profile: &str,
    programs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<PathBuf> {
    let mut cargo = testkit::assets::cargo();
    cargo.args(["build", "--locked", "--profile", profile]);
    let mut is_empty = true;
    for (package, binary) in programs {
        cargo.args(["--package", package, "--bin", binary]);
        is_empty = false;
    }
    // Without a package cargo would build them all.
    if !is_empty {
        let status = cargo.status().context("cannot run cargo")?;
        anyhow::ensure!(status.success(), "cargo build failed ({status})");
    }
    let folder = match profile {
        "dev" => "debug",
        other => other,
    };
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(
        || testkit::assets::workspace().join("target"),
        PathBuf::from,
    );
    Ok(target.join(folder))
}
