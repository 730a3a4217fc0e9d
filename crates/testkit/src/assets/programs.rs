//! Our own programs, as fresh as their sources.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use super::{progress, tools, workspace};

/// A program of this workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Controller,
    Dbproxy,
    Plugin,
}

/// Held while cargo runs, and remembers its results.
static BUILT: Mutex<Vec<(Program, PathBuf)>> = Mutex::new(Vec::new());

impl Program {
    pub const ALL: [Self; 3] = [Self::Controller, Self::Dbproxy, Self::Plugin];

    /// Names a binary that is up to date already; `cargo xtask test` sets it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Controller => "TESTKIT_CONTROLLER",
            Self::Dbproxy => "TESTKIT_DBPROXY",
            Self::Plugin => "TESTKIT_PLUGIN",
        }
    }

    fn package_and_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Controller => ("db-controller", "db-controller"),
            Self::Dbproxy => ("db-controller-dbproxy", "dbproxy"),
            Self::Plugin => ("kubectl-dbclaim", "kubectl-dbclaim"),
        }
    }

    /// The binary, built once per process with the profile of the caller.
    pub fn binary(self) -> Result<PathBuf> {
        if let Some(given) = std::env::var_os(self.variable()) {
            return Ok(given.into());
        }
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, path)) = built.iter().find(|(program, _)| *program == self) {
            return Ok(path.clone());
        }
        let (profile, folder) = if cfg!(debug_assertions) {
            ("dev", "debug")
        } else {
            ("release", "release")
        };
        let (package, name) = self.package_and_name();
        progress(&format!("building {name}, if anything changed"));
        let arguments = [
            "build",
            "--quiet",
            "--package",
            package,
            "--profile",
            profile,
        ];
        tools::run(tools::cargo().args(arguments))?;
        let path = workspace().join("target").join(folder).join(name);
        built.push((self, path.clone()));
        Ok(path)
    }
}
