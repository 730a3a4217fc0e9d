//! What a node runs beside Kubernetes' own components, and whether a node can run here at all.
//! Debian's packages are unpacked, not installed: installing containerd would start it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::geteuid;

use super::{cache, cached, postgres, progress, tools};

const PACKAGES: [&str; 4] = [
    "containerd",
    "containernetworking-plugins",
    "libseccomp2",
    "runc",
];

/// CAP_SYS_ADMIN's number, from capabilities(7).
const SYS_ADMIN: u32 = 21;

/// A folder of unpacked packages.
#[derive(Debug, Clone)]
pub struct Programs {
    root: PathBuf,
}

/// Why no node can run on this machine, found out without starting anything.
pub fn obstacle() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("it needs root");
    }
    if !has_capability(SYS_ADMIN) {
        return Some("it needs CAP_SYS_ADMIN for its namespaces and mounts");
    }
    if !Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists() {
        return Some("it was only ever run with version 1 of control groups");
    }
    if !tools::can_install() {
        return Some("its programs are Debian's packages, and there is no apt-get");
    }
    None
}

/// The programs, fetched on first use.
pub fn programs() -> Result<Programs> {
    if !tools::is_on_path("ip") {
        tools::apt_install("iproute2")?;
    }
    let root = cached(&cache().join("node"), |folder| {
        progress("fetching containerd");
        tools::unpack(&PACKAGES, folder)
    })?;
    Ok(Programs { root })
}

/// Installs what the image of the tests' applications is made of: psql, pgbench and a shell.
pub fn install_clients() -> Result<()> {
    postgres::binaries(postgres::DEFAULT_MAJOR)?;
    if !Path::new("/bin/busybox").exists() {
        tools::apt_install("busybox-static")?;
    }
    Ok(())
}

impl Programs {
    /// `PATH` with containerd, its shim and runc.
    pub(crate) fn path(&self) -> Result<OsString> {
        let system = std::env::var_os("PATH").unwrap_or_default();
        let ours = ["usr/bin", "usr/sbin"].map(|folder| self.root.join(folder));
        let all = ours.into_iter().chain(std::env::split_paths(&system));
        std::env::join_paths(all).context("a folder's name has a colon")
    }

    /// Libraries that the system may lack.
    pub(crate) fn libraries(&self) -> PathBuf {
        let triple = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        self.root.join(triple)
    }

    /// The folder of the network plugins.
    pub(crate) fn cni(&self) -> PathBuf {
        self.root.join("usr/lib/cni")
    }

    /// containerd's own client.
    pub(crate) fn ctr(&self) -> PathBuf {
        self.root.join("usr/bin/ctr")
    }
}

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    effective.is_some_and(|mask| mask >> number & 1 == 1)
}
