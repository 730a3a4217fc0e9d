//! Typed reading of a map: one method per type, each takes its key out of the map.
//!
//! Every wrong value is noted and replaced by its default, so that one pass finds all problems.
//! What was asked for is remembered: it is the list of known keys, and what is left over at the
//! end is unknown.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use strum::IntoEnumIterator;

use super::{
    equals_sign,
    nearest::nearest,
    problem::Problem,
    tree::{Entry, Node, Value},
};
use crate::go_duration;

/// A map being read, and what was found on the way.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Path of the map itself with a dot at its end, or nothing for the whole file.
    prefix: String,
    /// By key in small letters.
    entries: BTreeMap<String, Entry>,
    known: Vec<&'static str>,
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// A value that the file gives, with its line for later complaints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

impl Reader {
    pub(super) fn new(prefix: String, entries: Vec<Entry>) -> Self {
        let mut reader = Self {
            prefix,
            ..Self::default()
        };
        for entry in entries {
            reader.insert(entry);
        }
        reader
    }

    /// Moves the entries of the map `section` up, as `section.key`. The original reads both ways
    /// of writing alike.
    pub(super) fn flatten(&mut self, section: &'static str) {
        let Some(Entry { line, node, .. }) = self.entries.remove(&section.to_ascii_lowercase())
        else {
            return;
        };
        match &node.value {
            Value::Null => {}
            Value::Map(entries) => {
                for entry in entries {
                    let key = format!("{section}.{}", entry.key);
                    self.insert(Entry {
                        key,
                        ..entry.clone()
                    });
                }
            }
            Value::Scalar(text) if let Some(key) = equals_sign::key_of(text) => {
                self.errors.push(equals_sign::problem(
                    format!("{section}.{key}"),
                    key,
                    node.line,
                ));
            }
            _ => self.error(
                section,
                line,
                format!("expected a map, found {}", node.kind()),
            ),
        }
    }

    /// Whether `section` holds one of `keys`.
    pub(super) fn section_has(&self, section: &str, keys: &[&str]) -> bool {
        self.entries
            .get(&section.to_ascii_lowercase())
            .is_some_and(|entry| has_any(&entry.node, keys))
    }

    pub(super) fn error(&mut self, key: &str, line: usize, message: impl Into<String>) {
        self.errors
            .push(Problem::new(self.path(key), Some(line), message));
    }

    pub(super) fn warn(&mut self, key: &str, line: usize, message: impl Into<String>) {
        self.warnings
            .push(Problem::new(self.path(key), Some(line), message));
    }

    /// Whether `key` was complained about already.
    pub(super) fn has_error(&self, key: &str) -> bool {
        let path = self.path(key);
        self.errors.iter().any(|problem| problem.key == path)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.scalar(key, "text").map(|given| given.value)
    }

    /// Text in which an empty value counts as none.
    pub(super) fn nonempty(&mut self, key: &'static str) -> Option<Given<String>> {
        self.scalar(key, "text")
            .filter(|given| !given.value.is_empty())
    }

    /// `true` or `false`, also quoted, and the other words that Go's `strconv.ParseBool` knows.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<Given<bool>> {
        let Given { value, line } = self.scalar(key, "true or false")?;
        match value.as_str() {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(Given { value: true, line }),
            "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(Given { value: false, line }),
            _ => {
                self.error(key, line, "expected true or false, found something else");
                None
            }
        }
    }

    /// A whole number, also quoted.
    pub(super) fn whole(&mut self, key: &'static str) -> Option<Given<i64>> {
        let Given { value, line } = self.scalar(key, "a whole number")?;
        if let Ok(value) = value.parse() {
            return Some(Given { value, line });
        }
        let found = Node {
            line,
            value: Value::Scalar(value),
        };
        self.error(
            key,
            line,
            format!("expected a whole number, found {}", found.kind()),
        );
        None
    }

    /// A whole number of `range`; any other is an error.
    pub(super) fn within<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let Given { value, line } = self.whole(key)?;
        let fitting = T::try_from(value)
            .ok()
            .filter(|value| range.contains(value));
        if fitting.is_none() {
            let (least, most) = (range.start(), range.end());
            self.error(
                key,
                line,
                format!("is {value}; allowed are {least} to {most}"),
            );
        }
        fitting
    }

    /// One of the words of an enum, in any case.
    pub(super) fn choice<T>(&mut self, key: &'static str) -> Option<Given<T>>
    where
        T: FromStr + IntoEnumIterator + Display,
    {
        let Given { value, line } = self.scalar(key, "text")?;
        if let Ok(value) = value.to_ascii_lowercase().parse() {
            return Some(Given { value, line });
        }
        let words: Vec<String> = T::iter().map(|word| format!("`{word}`")).collect();
        self.error(key, line, format!("expected one of {}", words.join(", ")));
        None
    }

    /// A duration in Go's syntax; a number without unit is minutes. Zero is an error.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Given<Span>> {
        let Given { value, line } = self.scalar(key, "a duration")?;
        let is_number = value
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'));
        let read = match value.as_str() {
            "" => Err(go_duration::Error::Empty),
            minutes if is_number => go_duration::parse(&format!("{minutes}m")),
            text => go_duration::parse(text),
        };
        match read {
            Ok(duration) if duration.is_zero() => {
                self.error(key, line, "is 0; a duration must be longer");
                None
            }
            Ok(duration) if is_number => Some(Given {
                value: Span::Minutes(duration),
                line,
            }),
            Ok(duration) => Some(Given {
                value: Span::Duration(duration),
                line,
            }),
            Err(err) => {
                self.error(key, line, err.to_string());
                None
            }
        }
    }

    /// A list of texts, each once.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<String>> {
        let Entry { line, node, .. } = self.take(key)?;
        let Value::List(items) = node.value else {
            self.error(key, line, format!("expected a list, found {}", node.kind()));
            return None;
        };
        let mut texts = Vec::new();
        for item in items {
            match item.value {
                Value::Scalar(text) if texts.contains(&text) => {}
                Value::Scalar(text) if !text.is_empty() => texts.push(text),
                _ => self.error(
                    key,
                    item.line,
                    format!("expected a name, found {}", item.kind()),
                ),
            }
        }
        Some(texts)
    }

    /// All entries below `section`, which [`Reader::flatten`] moved up, with the keys they had.
    pub(super) fn section(&mut self, section: &'static str) -> Vec<Entry> {
        self.known.push(section);
        let prefix = format!("{}.", section.to_ascii_lowercase());
        let keys = self
            .entries
            .extract_if(.., |key, _| key.starts_with(&prefix));
        let shorten = |(_, entry): (String, Entry)| {
            let key = entry.key.get(prefix.len()..).unwrap_or_default().to_owned();
            Entry { key, ..entry }
        };
        keys.map(shorten).collect()
    }

    /// Entries that nobody asked for, in the order of the file.
    pub(super) fn rest(&mut self) -> Vec<Entry> {
        let mut rest: Vec<Entry> = std::mem::take(&mut self.entries).into_values().collect();
        rest.sort_by_key(|entry| entry.line);
        rest
    }

    /// Warns of a key that nobody asked for, with the one that was probably meant.
    pub(super) fn unknown(&mut self, entry: &Entry, hint: &str) {
        let proposal = nearest(&entry.key, self.known.iter().copied())
            .map(|key| format!("; did you mean `{key}`?"));
        let message = format!("unknown key, ignored{}{hint}", proposal.unwrap_or_default());
        self.warn(&entry.key, entry.line, message);
    }

    /// Takes over what a reader of a nested map found.
    pub(super) fn absorb(&mut self, nested: Self) {
        self.errors.extend(nested.errors);
        self.warnings.extend(nested.warnings);
    }

    /// The entry of `key`; one without a value counts as absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let entry = self.entries.remove(&key.to_ascii_lowercase())?;
        (!matches!(entry.node.value, Value::Null)).then_some(entry)
    }

    fn scalar(&mut self, key: &'static str, expected: &str) -> Option<Given<String>> {
        let Entry { line, node, .. } = self.take(key)?;
        match node.value {
            Value::Scalar(text) => Some(Given {
                value: text.trim().to_owned(),
                line: node.line,
            }),
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.error(
                    key,
                    line,
                    format!("expected {expected}, found {}", node.kind()),
                );
                None
            }
        }
    }

    fn insert(&mut self, entry: Entry) {
        let lower = entry.key.to_ascii_lowercase();
        if let Some(first) = self.entries.get(&lower) {
            let message = format!("is given twice, first in line {}", first.line);
            self.error(&entry.key, entry.line, message);
            return;
        }
        self.entries.insert(lower, entry);
    }

    fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// How a duration was written, which decides whether bounds are enforced or only recommended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// A number without unit.
    Minutes(Duration),
    /// Numbers with units.
    Duration(Duration),
}

impl Span {
    pub(super) fn get(self) -> Duration {
        match self {
            Self::Minutes(duration) | Self::Duration(duration) => duration,
        }
    }
}

/// Whether `node` is a map that holds one of `keys`.
pub(super) fn has_any(node: &Node, keys: &[&str]) -> bool {
    let Value::Map(entries) = &node.value else {
        return false;
    };
    entries
        .iter()
        .any(|entry| keys.iter().any(|key| entry.key.eq_ignore_ascii_case(key)))
}
