//! The programs that the test bed runs: found, installed or built, and cached in `target/testbed`.
//!
//! The second call finds everything in place and needs no network. Whatever takes long says so on
//! stderr; whatever can't be had is an error that names what to install.

pub mod clients;
pub mod control_plane;
pub mod debian;
pub mod helm;
pub mod images;
pub mod mongod;
pub mod node;
pub mod pgbouncer;
pub mod postgres;
pub mod programs;
pub mod specifications;
pub(crate) mod tools;

pub use tools::{cargo, run};

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository's root.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The first fenced block of that language in a document that holds a text.
pub fn documented(document: &str, language: &str, holds: &str) -> Result<String> {
    let text = std::fs::read_to_string(workspace().join(document))?;
    let fence = format!("```{language}\n");
    let found = text.split(&fence).skip(1).find_map(|part| {
        let (block, _) = part.split_once("```")?;
        block.contains(holds).then(|| block.to_owned())
    });
    found.with_context(|| format!("{document} shows no {holds}"))
}

/// Where everything built or fetched is kept.
pub fn cache() -> PathBuf {
    workspace().join("target/testbed")
}

/// `folder`, or one in `/var/tmp` if the account that PostgreSQL runs under can't get there, as
/// below `/root`.
pub fn reachable(folder: &Path) -> PathBuf {
    let is_open = |folder: &Path| {
        folder
            .metadata()
            .map_or(true, |metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    if !nix::unistd::geteuid().is_root() || folder.ancestors().all(is_open) {
        return folder.to_owned();
    }
    let below = folder.strip_prefix("/").unwrap_or(folder);
    Path::new("/var/tmp/db-controller-testbed").join(below)
}

/// Builds and fetches the servers that a demonstration needs.
pub fn prepare_servers() -> Result<()> {
    control_plane::binaries()?;
    for major in postgres::MAJORS {
        postgres::binaries(major)?;
    }
    Ok(())
}

/// Builds and fetches all there is.
pub fn prepare_all() -> Result<()> {
    prepare_servers()?;
    helm::binary()?;
    mongod::binary()?;
    pgbouncer::program()?;
    for language in clients::Language::ALL {
        for engine in clients::Engine::ALL {
            language.client(engine)?;
        }
    }
    specifications::runner()?;
    if node::obstacle().is_none() {
        node::programs()?;
        node::install_clients()?;
    }
    Ok(())
}

/// Tells the person who waits what is being done.
fn progress(what: &str) {
    eprintln!("testkit: {what} ...");
}

/// Returns `path`, after running `make` on a temporary name beside it if it does not exist.
/// Several test binaries may come here at once: one makes it, the others wait for its lock.
pub(crate) fn cached(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let folder = path.parent().context("a cached file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = File::create(path.with_added_extension("lock"))?;
    lock.lock().context("cannot lock the cache")?;
    if path.exists() {
        return Ok(path.to_owned());
    }
    let unfinished = path.with_added_extension("unfinished");
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished)?;
    }
    make(&unfinished)?;
    fs::rename(&unfinished, path)
        .with_context(|| format!("cannot put {} in place", path.display()))?;
    Ok(path.to_owned())
}
