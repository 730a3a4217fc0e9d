//! The unprivileged account that servers run under which refuse to run as root.

use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::{Gid, Uid, User, geteuid};

/// A user and group other than root.
#[derive(Debug, Clone, Copy)]
pub struct RunAs {
    uid: Uid,
    gid: Gid,
}

impl RunAs {
    /// `None` if we are unprivileged already; else the account `postgres`, or `nobody`.
    pub fn unprivileged() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).context("cannot read the user database")? {
                return Ok(Some(Self {
                    uid: user.uid,
                    gid: user.gid,
                }));
            }
        }
        anyhow::bail!("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    }

    /// A command that runs `program` under this account.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(self.setpriv_args()).arg("--").arg(program);
        command
    }

    /// Arguments of setpriv(1).
    pub(super) fn setpriv_args(self) -> [String; 3] {
        let Self { uid, gid } = self;
        [
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
        ]
    }

    /// Gives `path` and all below it to this account.
    pub fn own(self, path: &Path) -> Result<()> {
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .with_context(|| format!("cannot chown {}", path.display()))?;
        if path.is_dir() && !path.is_symlink() {
            for entry in std::fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        Ok(())
    }
}
