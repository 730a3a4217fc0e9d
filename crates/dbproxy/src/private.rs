//! Writes files that hold a secret: mode 0600, complete or not at all.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

/// Puts `text` in the place of the file at `path`, by renaming.
pub(crate) fn replace(path: &Path, text: &SecretString) -> io::Result<()> {
    let unfinished = path.with_added_extension("new");
    // One that a crash left behind may have another mode.
    match std::fs::remove_file(&unfinished) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?
        .write_all(text.expose_secret().as_bytes())?;
    std::fs::rename(unfinished, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_private_whatever_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ini");
        for left in ["x.ini", "x.ini.new"] {
            std::fs::write(folder.path().join(left), "long, and of another mode").unwrap();
        }
        replace(&path, &"short".into()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!folder.path().join("x.ini.new").exists());
    }
}
