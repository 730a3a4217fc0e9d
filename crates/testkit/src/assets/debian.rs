//! PgBouncer, its libraries and the certificate authorities, from packages of Debian 13, which mends
//! its PgBouncer for years: for the images, and for the tests, so that what is shipped is what was
//! tested. apt checks their signatures. Nothing is installed: the packages are unpacked below
//! `target/`.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cached, node, progress, reachable, run, workspace};

/// 1.24.1 mends CVE-2025-2291. 1.26.1 cuts clients off at a switch of login (see docs/images.md),
/// and what is between was not tried.
const KNOWN_PGBOUNCER: Range<Version> = (1, 24, 1)..(1, 25, 0);

type Version = (u32, u32, u32);

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

const SUITE: &str = "trixie";

/// PgBouncer and all that it is linked with; a library that is missing here fails the build.
const PACKAGES: [&str; 16] = [
    "ca-certificates",
    "libaudit1",
    "libc6",
    "libcap-ng0",
    "libcap2",
    "libcares2",
    "libevent-2.1-7t64",
    "libgcc-s1",
    "libldap2",
    "libpam0g",
    "libsasl2-2",
    "libssl3t64",
    "libsystemd0",
    "libzstd1",
    "pgbouncer",
    "zlib1g",
];

/// A folder of unpacked packages.
#[derive(Debug)]
pub struct Debian {
    root: PathBuf,
}

impl Debian {
    /// Unpacks the packages on first use; `target/images/debian` can be removed to get newer ones.
    pub fn fetch() -> Result<Self> {
        let folder = folder();
        let root = cached(&folder.join("root"), |unfinished| {
            progress(&format!("fetching PgBouncer from Debian's {SUITE}"));
            download(&folder, unfinished)
        })?;
        let debian = Self { root };
        let version = debian.pgbouncer_version()?;
        anyhow::ensure!(
            KNOWN_PGBOUNCER.contains(&version),
            "PgBouncer {version:?} is none of {KNOWN_PGBOUNCER:?}, which are known to switch \
             logins: remove {} to fetch it again",
            folder.display()
        );
        Ok(debian)
    }

    /// What is installed here, with the programs of the tests' own image.
    pub fn of_this_machine() -> Result<Self> {
        node::install_clients()?;
        Ok(Self { root: "/".into() })
    }

    /// The file that an installed package would have at `/path`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub fn libraries(&self) -> PathBuf {
        self.path(&format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
    }

    pub fn loader(&self) -> PathBuf {
        let name = match std::env::consts::ARCH {
            "aarch64" => "ld-linux-aarch64.so.1",
            _ => "ld-linux-x86-64.so.2",
        };
        self.libraries().join(name)
    }

    /// Mozilla's authorities, PEM, in the order of their file names.
    pub fn authorities(&self) -> Result<Vec<u8>> {
        let folder = self.path("usr/share/ca-certificates/mozilla");
        let mut files = files_in(&folder)?;
        files.sort();
        let mut bundle = Vec::new();
        for file in files {
            bundle.extend(fs::read(&file)?);
        }
        anyhow::ensure!(!bundle.is_empty(), "no authority in {}", folder.display());
        Ok(bundle)
    }

    fn pgbouncer_version(&self) -> Result<Version> {
        let mut command = Command::new(self.loader());
        command.arg("--library-path").arg(self.libraries());
        command
            .arg(self.path("usr/sbin/pgbouncer"))
            .arg("--version");
        let text = run(&mut command)?;
        parse_version(&text).with_context(|| format!("no version in {text}"))
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let version = text.strip_prefix("PgBouncer ")?.split_whitespace().next()?;
    let mut parts = version.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some((next()?, next()?, next()?))
}

/// Where accounts without rights get to, as PgBouncer runs under one.
pub(super) fn folder() -> PathBuf {
    reachable(&workspace().join("target/images/debian"))
}

fn download(folder: &Path, unfinished: &Path) -> Result<()> {
    let packages = folder.join("packages");
    for made in [packages.clone(), folder.join("apt")] {
        if made.exists() {
            fs::remove_dir_all(made)?;
        }
    }
    for below in ["apt/lists/partial", "apt/archives/partial", "apt/parts"] {
        fs::create_dir_all(folder.join(below))?;
    }
    for folder in [packages.as_path(), unfinished] {
        fs::create_dir_all(folder)?;
    }
    fs::write(folder.join("apt/status"), "")?;
    let source = format!("deb [signed-by={KEYRING}] {} {SUITE} main\n", mirror()?);
    fs::write(folder.join("apt/sources.list"), source)?;
    run(apt(folder).arg("update"))?;
    run(apt(folder)
        .current_dir(&packages)
        .arg("download")
        .args(PACKAGES))?;
    for package in files_in(&packages)? {
        run(Command::new("dpkg").arg("-x").arg(&package).arg(unfinished))?;
    }
    Ok(())
}

/// The mirror that this machine gets its own Debian packages from.
fn mirror() -> Result<String> {
    let format = "$(REPO_URI)";
    let targets = run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
        "Label: Debian",
    ]))?;
    let first = targets.lines().next().map(str::to_owned);
    first.context(
        "apt knows no mirror of Debian; images are built on a Debian machine, after apt-get update",
    )
}

/// apt with lists and settings of its own, so that this machine's are neither used nor changed.
fn apt(folder: &Path) -> Command {
    let state = folder.join("apt");
    let mut apt = Command::new("apt-get");
    apt.arg("-qq");
    for (option, path) in [
        ("Dir::Etc::sourcelist", state.join("sources.list")),
        ("Dir::Etc::sourceparts", state.join("parts")),
        ("Dir::State", state.clone()),
        ("Dir::State::lists", state.join("lists")),
        ("Dir::State::status", state.join("status")),
        ("Dir::Cache", state.clone()),
    ] {
        apt.arg("-o").arg(format!("{option}={}", path.display()));
    }
    apt.args(["-o", "APT::Sandbox::User=root"]);
    apt.args(["-o", "Acquire::Languages=none"]);
    apt
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder);
    let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let is_known = |text| KNOWN_PGBOUNCER.contains(&parse_version(text).unwrap());
        assert!(is_known("PgBouncer 1.24.1\nlibevent 2.1.13"));
        for other in ["PgBouncer 1.24.0", "PgBouncer 1.9.9", "PgBouncer 1.26.1"] {
            assert!(!is_known(other), "{other}");
        }
        assert_eq!(parse_version("pgbouncer"), None);
    }
}
