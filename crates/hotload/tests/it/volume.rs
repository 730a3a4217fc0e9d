//! A mounted Secret without a kubelet.

use std::path::PathBuf;

use tempfile::TempDir;

/// A volume as the kubelet makes it: `dsn -> ..data/dsn`, `..data -> ..<time>`, swapped by rename.
pub(crate) struct Volume {
    directory: TempDir,
    writes: u64,
}

impl Volume {
    pub(crate) fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut volume = Self {
            directory,
            writes: 0,
        };
        volume.swap(text);
        std::os::unix::fs::symlink("..data/dsn", volume.file()).unwrap();
        volume
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("dsn")
    }

    pub(crate) fn swap(&mut self, text: &str) {
        let root = self.directory.path();
        self.writes += 1;
        let name = format!("..{}", self.writes);
        std::fs::create_dir(root.join(&name)).unwrap();
        std::fs::write(root.join(&name).join("dsn"), text).unwrap();
        let old = std::fs::read_link(root.join("..data"));
        std::os::unix::fs::symlink(&name, root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        if let Ok(old) = old {
            std::fs::remove_dir_all(root.join(old)).unwrap();
        }
    }
}
