//! `cargo xtask plugin`: the kubectl plugin as krew installs it, an archive for this machine's
//! platform and the manifest that names it with its checksum. Nothing is uploaded here.

mod archive;
mod manifest;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::assets::workspace;

use crate::programs;
use archive::Archive;

/// Of the crate, of its binary, and of what kubectl looks for when it is asked for `dbclaim`.
const PROGRAM: &str = "kubectl-dbclaim";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder to write archive and manifest to; archives of other platforms that are there
    /// already get into the manifest
    #[arg(long, default_value = "target/plugin")]
    out: PathBuf,
    /// The cargo profile of the program; `dev` is quick to build and large
    #[arg(long, default_value = "release")]
    profile: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { out, profile } = args;
    let folder = programs::build(profile, [(PROGRAM, PROGRAM)])?;
    let out = workspace().join(out);
    let Packed { archive, manifest } = pack(&folder.join(PROGRAM), &out)?;
    println!("{}  sha256 {}", archive.path.display(), archive.checksum()?);
    println!("{}", manifest.display());
    Ok(())
}

/// What was written.
struct Packed {
    archive: Archive,
    manifest: PathBuf,
}

/// Packs a built program for this machine's platform, and writes the manifest of all archives.
fn pack(program: &Path, out: &Path) -> Result<Packed> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let archive = Archive::pack(program, out)?;
    let manifest = manifest::write(&Archive::all(out)?, out)?;
    Ok(Packed { archive, manifest })
}
