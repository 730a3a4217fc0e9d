//! The container images, built by the code that builds the shipped ones, with programs that
//! compile quickly.

use std::path::PathBuf;

use anyhow::Result;

use super::{progress, tools, workspace};

/// Tag of the images.
pub const TAG: &str = "test";

/// A shell, psql and pgbench: the applications of the tests, and the sandboxes of their pods.
pub const CLIENT: &str = "localhost/testclient:test";

/// Builds what is not up to date, and returns the tars.
pub fn build() -> Result<Vec<PathBuf>> {
    progress("building images, if anything changed");
    let names = ["dbproxy", "dsnexec", "testclient"];
    let folder = workspace().join("target/images/test");
    let mut command = tools::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--", "images"]);
    command.args(["--profile", "dev", "--tag", TAG, "--out"]);
    command.arg(&folder).args(names);
    tools::run(&mut command)?;
    let tars = names.map(|name| folder.join(format!("{name}.tar")));
    Ok(tars.into())
}
