//! helm, at one version for everybody, since its output is compared.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{cache, cached, progress, tools};

const VERSION: &str = "v3.22.0";

/// The helm binary, built on first use.
pub fn binary() -> Result<PathBuf> {
    let path = cache().join(format!("bin/helm-{VERSION}"));
    cached(&path, |unfinished| {
        anyhow::ensure!(
            tools::is_on_path("go"),
            "building helm needs Go 1.24 or newer on the PATH (https://go.dev/dl)"
        );
        progress("building helm (3 min, once)");
        tools::run(
            Command::new("go")
                .env("CGO_ENABLED", "0")
                .env("GOBIN", unfinished)
                .args(["install", "-trimpath", "-ldflags", "-s -w"])
                .arg(format!("helm.sh/helm/v3/cmd/helm@{VERSION}")),
        )?;
        Ok(())
    })
    .map(|folder| folder.join("helm"))
}
