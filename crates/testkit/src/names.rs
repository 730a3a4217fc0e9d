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

/// What somebody may call a thing to see it break: parts of statements, quotes, placeholders,
/// reserved words, paths, letters that fold, turn or hide.
const PAYLOADS: [&str; 50] = [
    "\"",
    "'",
    "\"; DROP SCHEMA public CASCADE; --",
    "'; DROP ROLE postgres; --",
    "x\"; ALTER ROLE clerk SUPERUSER; --",
    "a\" TO PUBLIC; --",
    "a, public",
    "a\",\"public",
    "sales\".\"t",
    "sales.t",
    "$$",
    "$body$",
    "$1",
    "$user",
    "\\",
    "back\\slash\\\"",
    "\\'; SELECT 1; --",
    "E'x'",
    "/* comment */",
    "-- comment",
    "%s%n",
    "{role}",
    "{{schema}}",
    "${HOME}",
    "`id`",
    "$(id)",
    "a;b",
    "a b",
    " a",
    "a ",
    "../../etc/passwd",
    "select",
    "user",
    "default",
    "all",
    "current_user",
    "NULL",
    "true",
    "PUBLIC",
    "Sales",
    "SALES",
    "ключ",
    "数据库",
    "ß",
    "İstanbul",
    "\u{202e}evil",
    "zero\u{200b}width",
    "e\u{301}",
    "\u{1f418}",
    "{\"json\": [1]}",
];

/// 200 names, each at most `limit` bytes long, that differ in every byte that matters.
pub fn hostile(limit: usize) -> Vec<String> {
    let shapes: [fn(&str) -> String; 4] = [
        str::to_owned,
        |text| format!("\"{text}\""),
        |text| format!("x'{text}"),
        |text| format!("{text}{}", "z".repeat(63)),
    ];
    let all = shapes.iter().flat_map(|shape| PAYLOADS.map(shape));
    all.map(|mut name| {
        while name.len() > limit {
            name.pop();
        }
        name
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_200_hostile_names() {
        for limit in [56, 61, 63] {
            let names: BTreeSet<_> = hostile(limit).into_iter().collect();
            assert_eq!(names.len(), 200);
            assert!(names.iter().all(|name| name.len() <= limit));
        }
    }

    #[test]
    fn a_label_fits_a_namespace_name() {
        assert_eq!(as_label("it::The_Secret_is restored", 12), "the-secret-i");
        assert_eq!(as_label("_x_", 12), "x");
    }
}
