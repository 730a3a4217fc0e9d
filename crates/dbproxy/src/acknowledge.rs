//! Tells whoever asks which publication of the Secret is in use, so that a rotation can be followed
//! to its last consumer. A number, no secret: it is served beside the probes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use axum::Json;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// Beside the DSN in the mounted Secret: how often the credential was replaced.
const GENERATION: &str = "generation";

/// More than any file of such a Secret has.
const LONGEST: u64 = 64 * 1024;

/// What `/credential` answers.
#[derive(Debug, Serialize)]
pub(crate) struct Acknowledged {
    /// `null` where the credential in use is not the one that is mounted, or nobody numbered it.
    generation: Option<u64>,
}

/// Asks the files: the number that stands beside `file`, if `uses` knows its content.
pub(crate) fn acknowledged(
    file: &Path,
    uses: impl FnOnce(&SecretString) -> bool,
) -> Json<Acknowledged> {
    let generation = numbered(file).and_then(|(dsn, number)| uses(&dsn).then_some(number));
    Json(Acknowledged { generation })
}

/// The files of a volume change together: where the DSN stood still, the number is its own.
fn numbered(file: &Path) -> Option<(SecretString, u64)> {
    let dsn = text(file)?;
    let number = text(&file.with_file_name(GENERATION))?;
    let again = text(file)?;
    let stood_still = dsn.expose_secret() == again.expose_secret();
    let number = number.expose_secret().trim().parse().ok()?;
    stood_still.then_some((dsn, number))
}

fn text(path: &Path) -> Option<SecretString> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_counts_only_for_the_credential_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("uri_dsn.txt");
        let asked = |used: &str| {
            let uses = |dsn: &SecretString| dsn.expose_secret() == used;
            acknowledged(&file, uses).0.generation
        };
        assert_eq!(asked("dsn of b"), None, "nothing is mounted");
        std::fs::write(&file, "dsn of b").unwrap();
        assert_eq!(asked("dsn of b"), None, "it has no number");
        let number = file.with_file_name(GENERATION);
        std::fs::write(&number, "12\n").unwrap();
        assert_eq!(asked("dsn of b"), Some(12));
        assert_eq!(asked("dsn of a"), None, "another one is in use");
        std::fs::write(&number, "twelve").unwrap();
        assert_eq!(asked("dsn of b"), None);
    }
}
