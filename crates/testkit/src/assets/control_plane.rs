//! etcd and the Kubernetes components: from `KUBEBUILDER_ASSETS`, else built from `control-plane/`.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, cached, progress, tools, workspace};
use crate::process::ProcessBuilder;

/// The version of `k8s.io/kubernetes` in `control-plane/go.mod`, stamped into the binary.
const KUBERNETES: (u32, u32, u32) = (1, 34, 4);

const SOURCES: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// One program: a binary, or a component within our own.
#[derive(Debug, Clone)]
pub struct Component {
    name: &'static str,
    program: PathBuf,
    is_ours: bool,
}

impl Component {
    /// Starts describing a process of this component.
    pub fn builder(&self) -> ProcessBuilder {
        let builder = ProcessBuilder::new(self.name, &self.program);
        builder.args(self.is_ours.then_some(self.name))
    }

    /// The start of its command line, for who runs it by other means.
    pub fn command_line(&self) -> impl Iterator<Item = OsString> {
        let first = self.program.clone().into_os_string();
        std::iter::once(first).chain(self.is_ours.then(|| self.name.into()))
    }
}

#[derive(Debug, Clone)]
pub struct Binaries {
    pub etcd: Component,
    pub apiserver: Component,
    pub controller_manager: Component,
    pub scheduler: Component,
    pub kubelet: Component,
}

/// The Kubernetes version that the test bed stands for, without `v`.
pub fn version() -> String {
    let (major, minor, patch) = KUBERNETES;
    format!("{major}.{minor}.{patch}")
}

/// Finds the components, building what is not given.
pub fn binaries() -> Result<Binaries> {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let component = |name| find(name, given.as_deref());
    Ok(Binaries {
        etcd: component("etcd")?,
        apiserver: component("kube-apiserver")?,
        controller_manager: component("kube-controller-manager")?,
        scheduler: component("kube-scheduler")?,
        kubelet: component("kubelet")?,
    })
}

/// envtest's folder has no kube-controller-manager: what it lacks comes from our own program.
fn find(name: &'static str, given: Option<&Path>) -> Result<Component> {
    match given
        .map(|folder| folder.join(name))
        .filter(|program| program.is_file())
    {
        Some(program) => Ok(Component {
            name,
            program,
            is_ours: false,
        }),
        None => Ok(Component {
            name,
            program: built()?,
            is_ours: true,
        }),
    }
}

/// Our own program, built on first use.
fn built() -> Result<PathBuf> {
    let folder = workspace().join("crates/testkit/control-plane");
    let path = cache().join(format!("bin/control-plane-{:016x}", hash_of(&folder)?));
    cached(&path, |unfinished| build(&folder, unfinished))
}

fn build(folder: &Path, output: &Path) -> Result<()> {
    anyhow::ensure!(
        tools::is_on_path("go"),
        "building the control plane needs Go 1.24 or newer on the PATH (https://go.dev/dl); \
         or set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver"
    );
    progress("building the control plane (4 min, once)");
    tools::run(
        Command::new("go")
            .current_dir(folder)
            .env("CGO_ENABLED", "0")
            .args([
                "build",
                "-buildvcs=false",
                "-trimpath",
                "-ldflags",
                &linker_flags(),
                "-o",
            ])
            .arg(output)
            .arg("."),
    )
    .map(drop)
}

/// Without a version kubectl refuses to talk to the server.
fn linker_flags() -> String {
    let (major, minor, _) = KUBERNETES;
    let version = version();
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion=v{version} \
         -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

fn hash_of(folder: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    linker_flags().hash(&mut hasher);
    for source in SOURCES {
        let path = folder.join(source);
        fs::read(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamped_version_is_the_one_in_go_mod() {
        let (major, minor, patch) = KUBERNETES;
        let go_mod = include_str!("../../control-plane/go.mod");
        assert!(go_mod.contains(&format!("k8s.io/kubernetes v{major}.{minor}.{patch}\n")));
    }
}
