//! Writes a formatted text to a file, readable by this user only. Readers see the old text or the
//! new one, never a part.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Failure, Statement};
use crate::format::format;

pub(super) async fn write(path: &Path, statement: &Statement) -> Result<(), Failure> {
    let Statement {
        label: _,
        text,
        arguments,
    } = statement;
    let text = format(text, arguments)?;
    let path = path.to_owned();
    let written = tokio::task::spawn_blocking(move || replace(&path, text.as_bytes())).await;
    let written = written.unwrap_or_else(|lost| Err(std::io::Error::other(lost)));
    written.map_err(|err| Failure::Write(err.kind()))
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = beside(path);
    let written = write_new(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The error that counts is the first one.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // Left by a process that was killed; a new one has the right mode.
    match fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}
