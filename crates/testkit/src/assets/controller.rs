//! The controller's own binary, as fresh as its sources.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use super::{progress, tools, workspace};

/// Names a binary that is up to date already; `cargo xtask test` sets it.
pub const CONTROLLER_VARIABLE: &str = "TESTKIT_CONTROLLER";

/// Held while cargo runs, and remembers its result.
static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The binary, built once per process with the profile of the caller.
pub fn binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(CONTROLLER_VARIABLE) {
        return Ok(given.into());
    }
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.as_ref() {
        return Ok(path.clone());
    }
    let (profile, folder) = if cfg!(debug_assertions) {
        ("dev", "debug")
    } else {
        ("release", "release")
    };
    progress("building the controller, if anything changed");
    let arguments = ["build", "--quiet", "--package", "db-controller"];
    tools::run(tools::cargo().args(arguments).args(["--profile", profile]))?;
    Ok(built
        .insert(
            workspace()
                .join("target")
                .join(folder)
                .join("db-controller"),
        )
        .clone())
}
