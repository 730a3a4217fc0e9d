//! A mounted Secret without a kubelet.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use secrecy::{ExposeSecret, SecretString};

/// A volume as the kubelet makes it: `dsn -> ..data/dsn`, `..data -> ..<time>`, swapped by rename.
pub(crate) struct Volume {
    root: PathBuf,
    writes: AtomicU64,
}

impl Volume {
    /// In `root`, which is made; without any file yet.
    pub(crate) fn new(root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root)?;
        let writes = AtomicU64::new(0);
        Ok(Self { root, writes })
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.root.join("dsn")
    }

    /// As the kubelet does.
    pub(crate) fn swap(&self, dsn: &SecretString) -> Result<()> {
        let root = &self.root;
        let name = format!("..{}", self.writes.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir(root.join(&name))?;
        std::fs::write(root.join(&name).join("dsn"), dsn.expose_secret())?;
        let old = std::fs::read_link(root.join("..data"));
        replace_link(&name, &root.join("..data"))?;
        replace_link("..data/dsn", &self.file())?;
        if let Ok(old) = old {
            std::fs::remove_dir_all(root.join(old))?;
        }
        Ok(())
    }

    /// As an editor does.
    pub(crate) fn rename(&self, text: &str) -> Result<()> {
        let unfinished = self.root.join("unfinished");
        std::fs::write(&unfinished, text)?;
        std::fs::rename(unfinished, self.file())?;
        Ok(())
    }
}

fn replace_link(to: &str, link: &Path) -> Result<()> {
    let unfinished = link.with_added_extension("new");
    std::os::unix::fs::symlink(to, &unfinished)?;
    std::fs::rename(unfinished, link)?;
    Ok(())
}
