//! One initdb per version, kept and copied: a copy takes a tenth of the time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::assets::{self, tools};
use crate::names;
use crate::process::{RunAs, Workdir};

/// A data directory to copy and the password that its superuser still has.
pub(super) struct Template {
    data: PathBuf,
    pub(super) password: SecretString,
}

impl Template {
    /// Finds the template of these binaries, making it on first use.
    pub(super) fn of(binaries: &Path) -> Result<Self> {
        let version = tools::run(Command::new(binaries.join("postgres")).arg("--version"))?;
        let name: String = version
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let folder = assets::cache().join("initdb").join(name);
        let folder = assets::cached(&folder, |unfinished| initdb(binaries, unfinished))?;
        let password = fs::read_to_string(folder.join("password"))
            .with_context(|| format!("{} has no password", folder.display()))?;
        Ok(Self {
            data: folder.join("data"),
            password: SecretString::from(password),
        })
    }

    /// Copies the data to `target`, which must not exist.
    pub(super) fn copy_to(&self, target: &Path, account: Option<RunAs>) -> Result<()> {
        tools::run(
            Command::new("cp")
                .args(["--archive", "--reflink=auto"])
                .arg(&self.data)
                .arg(target),
        )?;
        account.map_or(Ok(()), |account| account.own(target))
    }
}

/// Runs in a directory that the other account can reach, then moves the result.
fn initdb(binaries: &Path, folder: &Path) -> Result<()> {
    let account = RunAs::unprivileged()?;
    let workdir = Workdir::new("initdb")?;
    let password = names::random_password();
    let password_file = workdir.write("password", password.expose_secret())?;
    let data = workdir.join("data");
    fs::create_dir(&data)?;
    if let Some(account) = account {
        account.own(workdir.path())?;
    }
    let mut command = match account {
        None => Command::new(binaries.join("initdb")),
        Some(account) => account.command(&binaries.join("initdb")),
    };
    tools::run(
        command
            .current_dir(workdir.path())
            .arg("-D")
            .arg(&data)
            .args([
                "--username",
                super::SUPERUSER,
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--auth=scram-sha-256", "--no-sync"])
            .arg("--pwfile")
            .arg(&password_file),
    )?;
    fs::create_dir_all(folder)?;
    tools::run(
        Command::new("cp")
            .arg("--archive")
            .arg(&data)
            .arg(folder.join("data")),
    )?;
    crate::process::write_private(&folder.join("password"), password.expose_secret())
}
