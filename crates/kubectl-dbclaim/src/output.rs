//! Answers on standard output: tables and lines for people, JSON for programs.

use anyhow::Result;
use serde::Serialize;

/// Narrower than this the last column says nothing.
const LEAST: usize = 12;

/// One JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Columns of a terminal; none where the output is no terminal, and nothing is cut.
pub(crate) fn width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// Columns as wide as what stands in them; the last one is cut at `width`.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    width: Option<usize>,
) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = head.map(str::to_owned);
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(&cut(line.trim_end(), width));
        text.push('\n');
    }
    text
}

/// At most so many characters, the last one a mark where something is missing.
pub(crate) fn cut(line: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX).max(LEAST);
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_not_fit_is_cut() {
        let rows = [
            ["orders".to_owned(), "True".to_owned()],
            ["a".to_owned(), "a long message of what is wrong".to_owned()],
        ];
        let whole = table(["NAME", "STATUS"], &rows, None);
        assert_eq!(
            whole,
            "NAME    STATUS\norders  True\na       a long message of what is wrong\n"
        );
        let narrow = table(["NAME", "STATUS"], &rows, Some(20));
        assert_eq!(
            narrow,
            "NAME    STATUS\norders  True\na       a long mess…\n"
        );
        assert!(narrow.lines().all(|line| line.chars().count() <= 20));
    }
}
