//! The text of a DSN, between the file and the driver.

use secrecy::{ExposeSecret, SecretString};

/// Without white space at its ends: most editors end a file with a new line.
pub(crate) fn trimmed(text: &SecretString) -> SecretString {
    SecretString::from(text.expose_secret().trim())
}
