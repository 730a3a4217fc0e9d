//! Explains `key=value` lines, which a sample in the original's documentation has.
//! YAML either refuses them some lines later or reads them as plain text: both say little.

use super::problem::Problem;

/// The first line up to `last` (counted from 1) that is written `key=value`.
pub(super) fn explain(text: &str, last: usize) -> Option<Problem> {
    let mut section = "";
    for (index, line) in text.lines().enumerate().take(last) {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let is_nested = line.starts_with([' ', '\t']);
        if let Some(key) = key_of(content) {
            let path = if is_nested && !section.is_empty() {
                format!("{section}.{key}")
            } else {
                key.to_owned()
            };
            return Some(problem(path, key, index + 1));
        }
        if !is_nested {
            let name = content.split(": ").next().unwrap_or(content);
            section = name.trim_end_matches(':');
        }
    }
    None
}

/// The key of a text written `key=value`: a word right before the sign. Base64, which ends in
/// signs, is no key: it would be shown.
pub(super) fn key_of(content: &str) -> Option<&str> {
    let (key, value) = content.split_once('=')?;
    let is_word = !key.is_empty()
        && !value.trim_matches('=').is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    is_word.then_some(key)
}

pub(super) fn problem(path: impl Into<String>, key: &str, line: usize) -> Problem {
    let message = format!("written as `{key}=...`, which is not YAML; write `{key}: ...`");
    Problem::new(path, Some(line), message)
}
