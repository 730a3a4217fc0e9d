//! pymongo's own tests, which run the published specifications of MongoDB's drivers. They come
//! with its source package, and need a server that [knows test commands](TEST_COMMANDS).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::clients::python;
use super::{cache, cached, progress, run, workspace};

/// A parameter of the server, for fail points.
pub const TEST_COMMANDS: &str = "enableTestCommands=1";

/// The program that runs tests named by its arguments, in the folder where they are.
pub fn runner() -> Result<Command> {
    let sources = workspace().join("crates/dbproxy/tests/clients/specifications");
    let requirements = fs::read_to_string(sources.join("requirements.txt"))?;
    let package = requirements
        .lines()
        .find(|line| line.starts_with("pymongo=="));
    let tests = tests(package.context("pymongo's version is not given")?)?;
    let mut runner = python(&sources.join("run.py"))?;
    runner.current_dir(tests);
    Ok(runner)
}

fn tests(package: &str) -> Result<PathBuf> {
    let (name, version) = package.split_once("==").context("a version is missing")?;
    cached(
        &cache().join("specifications").join(version),
        |unfinished| {
            progress("fetching pymongo's tests");
            let folder = tempfile::tempdir()?;
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "--quiet", "--no-input"]);
            pip.args(["--disable-pip-version-check", "--no-deps"]);
            pip.args(["--no-binary", name, "--dest"]).arg(folder.path());
            run(pip.arg(package))?;
            let archive = folder.path().join(format!("{name}-{version}.tar.gz"));
            let mut unpack = Command::new("python3");
            unpack.args(["-m", "tarfile", "--extract"]).arg(archive);
            run(unpack.arg(unfinished))?;
            let inside = unfinished.join(format!("{name}-{version}"));
            fs::rename(inside.join("test"), unfinished.join("test"))?;
            fs::remove_dir_all(inside).context("cannot tidy up")
        },
    )
}
