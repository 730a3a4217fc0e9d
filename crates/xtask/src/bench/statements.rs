//! Counts what PostgreSQL wrote down: statements, messages that carried them, connections, errors.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a part of a server log holds.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Several statements in one message count as several.
    pub statements: usize,
    /// Round trips.
    pub messages: usize,
    pub connections: usize,
    pub errors: usize,
    /// Statements by their first words.
    pub kinds: BTreeMap<String, usize>,
}

impl Counts {
    /// Reads a log whose lines start with a time; other lines belong to the one before.
    pub(super) fn of(log: &str) -> Self {
        let mut counts = Self::default();
        for entry in entries(log) {
            if let Some(sql) = sql(&entry) {
                counts.messages += 1;
                for statement in split(sql) {
                    counts.statements += 1;
                    *counts.kinds.entry(kind(&statement)).or_default() += 1;
                }
            } else if entry.contains("LOG:  connection authorized:") {
                counts.connections += 1;
            } else if entry.contains(" ERROR:  ") || entry.contains(" FATAL:  ") {
                counts.errors += 1;
            }
        }
        counts
    }
}

fn entries(log: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(rest), Some(entry)) => {
                entry.push('\n');
                entry.push_str(rest);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

fn sql(entry: &str) -> Option<&str> {
    if let Some((_, sql)) = entry.split_once(" LOG:  statement: ") {
        return Some(sql);
    }
    let (_, execute) = entry.split_once(" LOG:  execute ")?;
    execute.split_once(": ").map(|(_, sql)| sql)
}

/// Splits at semicolons outside quotes.
fn split(sql: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut quote = None;
    for c in sql.chars() {
        match (quote, c) {
            (None, ';') => {
                statements.push(String::new());
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        if let Some(statement) = statements.last_mut() {
            statement.push(c);
        }
    }
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

/// The words before the first name or value, at most three.
fn kind(statement: &str) -> String {
    let words = statement.split_whitespace().take(3);
    let words: Vec<_> = words
        .map(|word| word.split(['(', '"', '\'']).next().unwrap_or_default())
        .take_while(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_in_one_message_are_counted_one_by_one() {
        let log = "\
2026-01-01 00:00:00.000 UTC [7] a@b LOG:  connection authorized: user=a database=b
2026-01-01 00:00:00.000 UTC [7] a@b LOG:  statement: ALTER ROLE \"x;y\" LOGIN PASSWORD 'p;';
\tCOMMENT ON ROLE \"x\" IS 'm'
2026-01-01 00:00:00.000 UTC [7] a@b LOG:  execute <unnamed>: SELECT current_user
2026-01-01 00:00:00.000 UTC [7] a@b ERROR:  no
";
        let counts = Counts::of(log);
        assert_eq!((counts.statements, counts.messages), (3, 2));
        assert_eq!((counts.connections, counts.errors), (1, 1));
        assert_eq!(counts.kinds.get("COMMENT ON ROLE"), Some(&1));
        assert_eq!(counts.kinds.get("ALTER ROLE"), Some(&1));
    }
}
