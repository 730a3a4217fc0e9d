//! Running other programs to the end, and installing Debian packages where we may.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::unistd::geteuid;

/// Runs `command` to its end. Errors carry its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{name} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What cargo tells a program that it runs about its package. A build script that looks at these
/// (that of ring) would make the inner cargo build half of the workspace again, each time.
const OF_THE_CALLER: [&str; 5] = [
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_",
];

/// cargo in the workspace, as if a person had called it.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo.current_dir(super::workspace());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if OF_THE_CALLER.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

pub(crate) fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// Whether [`apt_install`] has a chance.
pub(crate) fn can_install() -> bool {
    geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()
}

/// Installs a Debian package, from fresh package lists.
pub(crate) fn apt_install(package: &str) -> Result<()> {
    super::progress(&format!("installing the Debian package {package}"));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--yes", "--no-install-recommends", package]))?;
    Ok(())
}

/// Unpacks Debian packages into `folder` without installing them, so that no service starts.
pub(crate) fn unpack(packages: &[&str], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    if can_install() {
        run(Command::new("apt-get").args(["-qq", "update"]))?;
    }
    run(Command::new("apt-get")
        .current_dir(folder)
        .args(["-qq", "download"])
        .args(packages))?;
    for entry in fs::read_dir(folder)?.flatten() {
        let archive = entry.path();
        if archive
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            run(Command::new("dpkg").arg("-x").arg(&archive).arg(folder))?;
            fs::remove_file(&archive)?;
        }
    }
    Ok(())
}
