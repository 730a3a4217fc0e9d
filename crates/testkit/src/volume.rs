//! A mounted Secret without a kubelet.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tempfile::TempDir;

/// Where it holds one text only.
const DSN: &str = "dsn";

/// Key of a published Secret: how often its credential was replaced.
const GENERATION: &str = "generation";

/// A volume as the kubelet makes it: `dsn -> ..data/dsn`, `..data -> ..<time>`, swapped by rename.
pub struct Volume {
    root: PathBuf,
    writes: AtomicU64,
    /// Removed with the volume.
    temporary: Option<TempDir>,
}

impl Volume {
    /// In `root`, which is made; without any file yet.
    pub fn at(root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root)?;
        let writes = AtomicU64::new(0);
        Ok(Self {
            root,
            writes,
            temporary: None,
        })
    }

    /// In a directory of its own, with that text.
    pub fn with(text: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut volume = Self::at(directory.path().to_owned())?;
        volume.temporary = Some(directory);
        volume.swap(text)?;
        Ok(volume)
    }

    /// What applications read.
    pub fn file(&self) -> PathBuf {
        self.root.join(DSN)
    }

    /// Another text, as the kubelet brings it, with its number in the file `generation`.
    pub fn swap(&self, text: &str) -> Result<()> {
        let number = self.writes.load(Ordering::Relaxed) + 1;
        self.swap_all(&[(DSN, text), (GENERATION, &number.to_string())])
    }

    /// Other texts under their keys.
    pub fn swap_all(&self, texts: &[(&str, &str)]) -> Result<()> {
        let root = &self.root;
        let number = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("..{number}");
        std::fs::create_dir(root.join(&name))?;
        for (key, text) in texts {
            std::fs::write(root.join(&name).join(key), text)?;
        }
        let old = std::fs::read_link(root.join("..data"));
        replace_link(&name, &root.join("..data"))?;
        for (key, _) in texts {
            // As it is from the first time on, unless an editor was there.
            if !root.join(key).is_symlink() {
                replace_link(&format!("..data/{key}"), &root.join(key))?;
            }
        }
        if let Ok(old) = old {
            std::fs::remove_dir_all(root.join(old))?;
        }
        Ok(())
    }

    /// Another text, as an editor writes it.
    pub fn rename(&self, text: &str) -> Result<()> {
        let unfinished = self.root.join("unfinished");
        std::fs::write(&unfinished, text)?;
        std::fs::rename(unfinished, self.file())?;
        Ok(())
    }
}

fn replace_link(to: &str, link: &Path) -> Result<()> {
    let mut unfinished = link.as_os_str().to_owned();
    unfinished.push("_tmp");
    std::os::unix::fs::symlink(to, &unfinished)?;
    std::fs::rename(unfinished, link)?;
    Ok(())
}
