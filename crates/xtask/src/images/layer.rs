//! A root file system as one tar: sorted entries, fixed times and owners, so that the same files
//! always give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// The account of distroless images, which Kubernetes knows as not root.
pub(super) const ACCOUNT: u32 = 65532;

/// 2024-01-01: any fixed time does, and tools dislike 0.
const TIME: u64 = 1_704_067_200;

struct File {
    mode: u32,
    content: Vec<u8>,
}

/// Files by their path in the image, without the leading slash.
pub(super) struct Layer {
    files: BTreeMap<String, File>,
}

impl Layer {
    /// A layer with the files that name the account, and nothing else.
    pub(super) fn with_account() -> Self {
        let mut layer = Self {
            files: BTreeMap::new(),
        };
        let accounts = format!("nonroot:x:{ACCOUNT}:{ACCOUNT}::/:/sbin/nologin\n");
        layer.file("etc/passwd", accounts.into_bytes());
        layer.file("etc/group", format!("nonroot:x:{ACCOUNT}:\n").into_bytes());
        layer.file("etc/nsswitch.conf", b"hosts: files dns\n".to_vec());
        layer
    }

    pub(super) fn file(&mut self, path: &str, content: Vec<u8>) {
        let file = File {
            mode: 0o644,
            content,
        };
        self.files.insert(path.to_owned(), file);
    }

    /// A copy of `source` that may be run.
    pub(super) fn program_from(&mut self, path: &str, source: &Path) -> Result<()> {
        let content =
            fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        let mode = 0o755;
        self.files.insert(path.to_owned(), File { mode, content });
        Ok(())
    }

    pub(super) fn to_tar(&self) -> Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for folder in self.folders() {
            let mode = if folder == "tmp/" { 0o1777 } else { 0o755 };
            append(&mut tar, &folder, EntryType::Directory, mode, &[])?;
        }
        for (path, File { mode, content }) in &self.files {
            append(&mut tar, path, EntryType::Regular, *mode, content)?;
        }
        tar.into_inner().context("cannot end a tar")
    }

    /// Every folder above a file, parents first.
    fn folders(&self) -> BTreeSet<String> {
        let above = |path: &String| -> Vec<String> {
            let ends = path.match_indices('/').map(|(end, _)| end);
            ends.filter_map(|end| path.get(..=end).map(str::to_owned))
                .collect()
        };
        let mut folders: BTreeSet<String> = self.files.keys().flat_map(above).collect();
        folders.insert("tmp/".to_owned());
        folders
    }
}

/// Adds one entry without a trace of this machine.
pub(crate) fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME);
    header.set_size(u64::try_from(content.len())?);
    tar.append_data(&mut header, path, content)
        .with_context(|| format!("cannot put {path} into a tar"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn layer(order: &[&str]) -> Layer {
        let mut layer = Layer::with_account();
        for path in order {
            layer.file(path, path.as_bytes().to_vec());
        }
        layer
    }

    #[test]
    fn the_order_of_making_leaves_no_trace() {
        let one = layer(&["usr/lib/b", "usr/a"]).to_tar().unwrap();
        let other = layer(&["usr/a", "usr/lib/b"]).to_tar().unwrap();
        assert_eq!(one, other);
        assert_ne!(one, layer(&["usr/a"]).to_tar().unwrap());
    }

    #[test]
    fn time_and_mode_of_a_copied_program_leave_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let tar_of = |name: &str| {
            let source = folder.path().join(name);
            fs::write(&source, "program").unwrap();
            let mut layer = Layer::with_account();
            layer.program_from("bin/program", &source).unwrap();
            layer.to_tar().unwrap()
        };
        let one = tar_of("one");
        let old = std::time::SystemTime::UNIX_EPOCH;
        let file = fs::File::open(folder.path().join("one")).unwrap();
        file.set_modified(old).unwrap();
        assert_eq!(one, tar_of("other"));
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_tmp_is_for_all() {
        let bytes = layer(&["usr/lib/b"]).to_tar().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            seen.push((path, entry.header().mode().unwrap()));
        }
        let position = |path: &str| seen.iter().position(|(seen, _)| seen == path).unwrap();
        assert!(position("usr/") < position("usr/lib/"));
        assert!(position("usr/lib/") < position("usr/lib/b"));
        assert!(seen.contains(&("tmp/".to_owned(), 0o1777)));
    }
}
