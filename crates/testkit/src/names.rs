//! Random names and passwords of test objects. Not for passwords that a product would make.

use rand::RngExt;
use secrecy::SecretString;

/// Lower-case letters, so that the result fits every name on Kubernetes and PostgreSQL.
pub fn random(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(rng.random_range(b'a'..=b'z')))
        .collect()
}

/// A password of 24 characters that needs no quoting anywhere.
pub fn random_password() -> SecretString {
    SecretString::from(random(24))
}

/// Turns a test's name into the start of a namespace's name: at most `length` of `[a-z0-9-]`.
pub fn as_label(test: &str, length: usize) -> String {
    let tail = test.rsplit("::").next().unwrap_or(test);
    let label: String = tail
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(length)
        .collect();
    label.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_fits_a_namespace_name() {
        assert_eq!(as_label("it::The_Secret_is restored", 12), "the-secret-i");
        assert_eq!(as_label("_x_", 12), "x");
    }
}
