//! The archives: program and license, in the same bytes whenever they are packed from the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};
use testkit::assets::workspace;

use super::PROGRAM;
use crate::images::append;

const LICENSE: &str = "LICENSE";
const END: &str = ".tar.gz";

/// An archive of this version.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    /// As Go names them, and so krew.
    pub(super) os: String,
    pub(super) arch: String,
}

/// What the names of this version's archives begin with.
fn start() -> String {
    format!("{PROGRAM}-v{}-", env!("CARGO_PKG_VERSION"))
}

impl Archive {
    /// Packs a program of this machine's platform.
    pub(super) fn pack(program: &Path, out: &Path) -> Result<Self> {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let path = out.join(format!("{}{os}-{arch}{END}", start()));
        let tar = path.with_extension("");
        fs::write(&tar, contents(program)?)
            .with_context(|| format!("cannot write {}", tar.display()))?;
        // Without the name and the time of the file that it packs.
        let mut gzip = Command::new("gzip");
        gzip.args(["--no-name", "--best", "--force"]).arg(&tar);
        testkit::assets::run(&mut gzip)?;
        Ok(Self {
            path,
            os: os.to_owned(),
            arch: arch.to_owned(),
        })
    }

    /// All of this version in a folder, in the order of their names.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries = fs::read_dir(folder);
        let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        Ok(paths.into_iter().filter_map(Self::of).collect())
    }

    fn of(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let platform = name.strip_prefix(&start())?.strip_suffix(END)?;
        let (os, arch) = platform.split_once('-')?;
        let (os, arch) = (os.to_owned(), arch.to_owned());
        Some(Self { path, os, arch })
    }

    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// SHA-256 in hexadecimal digits.
    pub(super) fn checksum(&self) -> Result<String> {
        let bytes = fs::read(&self.path);
        let bytes = bytes.with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(format!("{:x}", Sha256::digest(bytes)))
    }
}

fn contents(program: &Path) -> Result<Vec<u8>> {
    let license = workspace().join(LICENSE);
    let mut tar = Builder::new(Vec::new());
    for (name, mode, source) in [
        (LICENSE, 0o644, license.as_path()),
        (PROGRAM, 0o755, program),
    ] {
        let content = fs::read(source);
        let content = content.with_context(|| format!("cannot read {}", source.display()))?;
        append(&mut tar, name, EntryType::Regular, mode, &content)?;
    }
    tar.into_inner().context("cannot end a tar")
}
