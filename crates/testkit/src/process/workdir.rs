//! Temporary directories of processes.
//!
//! A directory goes with its owner, except after a failed start, or where `TESTKIT_KEEP=1` is set.
//! Statics are never dropped, so each run also removes what dead runs left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};

use crate::names;

const KEEP_MARKER: &str = "KEEP";

/// A directory that exists as long as this value.
#[derive(Debug)]
pub struct Workdir {
    path: PathBuf,
    is_kept: AtomicBool,
}

impl Workdir {
    /// Makes a directory whose name starts with `name`. Every account may pass through it.
    pub fn new(name: &str) -> Result<Arc<Self>> {
        let path = RUN_ROOT.join(format!("{name}-{}", names::random(6)));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let is_kept = std::env::var_os("TESTKIT_KEEP").is_some();
        let workdir = Self {
            path,
            is_kept: AtomicBool::new(false),
        };
        if is_kept {
            workdir.keep();
        }
        Ok(Arc::new(workdir))
    }

    /// Uses `path`, which stays when this value goes.
    pub fn permanent(path: &Path) -> Result<Arc<Self>> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            is_kept: AtomicBool::new(true),
        }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that only its owner may read: keys and passwords pass through here.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.join(name);
        write_private(&path, content)?;
        Ok(path)
    }

    /// Leaves the directory in place, for a person to look at.
    pub fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
        // Only tells later runs not to clean up; without it the directory just goes earlier.
        let _ = fs::write(self.join(KEEP_MARKER), "");
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if !self.is_kept.load(Ordering::Relaxed) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes a file of mode 0600.
pub fn write_private(path: &Path, content: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// One directory per test process, named by its pid.
static RUN_ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let base =
        std::env::temp_dir().join(format!("db-controller-testbed-{}", nix::unistd::geteuid()));
    remove_left_behind(&base);
    base.join(std::process::id().to_string())
});

/// Another run may be cleaning up as well, so nothing here is an error; either of the two wins.
fn remove_left_behind(base: &Path) {
    let children = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    for run in children(base) {
        if Path::new("/proc").join(run.file_name()).exists() {
            continue;
        }
        for workdir in children(&run.path()) {
            if !workdir.path().join(KEEP_MARKER).exists() {
                let _ = fs::remove_dir_all(workdir.path());
            }
        }
        // Fails, as it should, while something in it is kept.
        let _ = fs::remove_dir(run.path());
    }
}
