//! The manifest: the template beside the plugin's crate, with a platform for each archive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::assets::workspace;

use super::archive::Archive;

const TEMPLATE: &str = "crates/kubectl-dbclaim/krew.yaml";

/// After this line of the template comes one platform.
const PLATFORMS: &str = "\n  platforms:\n";

/// krew wants the file to have the plugin's name.
const NAME: &str = "dbclaim.yaml";

/// Writes it beside the archives; returns where.
pub(super) fn write(archives: &[Archive], out: &Path) -> Result<PathBuf> {
    let template = fs::read_to_string(workspace().join(TEMPLATE));
    let template = template.with_context(|| format!("cannot read {TEMPLATE}"))?;
    let path = out.join(NAME);
    fs::write(&path, filled(&template, archives)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn filled(template: &str, archives: &[Archive]) -> Result<String> {
    // Its first lines tell of the template itself.
    let start = template.find("apiVersion:");
    let template = start.and_then(|start| template.get(start..));
    let parts = template.and_then(|template| template.split_once(PLATFORMS));
    let (head, platform) = parts.context("the template has no platforms")?;
    let mut text = format!("{head}{PLATFORMS}");
    for archive in archives {
        let filled = platform
            .replace("{os}", &archive.os)
            .replace("{arch}", &archive.arch)
            .replace("{archive}", &archive.name())
            .replace("{sha256}", &archive.checksum()?);
        text.push_str(&filled);
    }
    Ok(text
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{repository}", env!("CARGO_PKG_REPOSITORY")))
}
