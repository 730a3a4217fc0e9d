//! Lengths of files and functions: figures to look at, and two maxima.

use super::Complaint;
use super::sources::Source;

const MAX_FILE: usize = 500;
const MAX_FUNCTION: usize = 80;

struct Function<'a> {
    name: &'a str,
    line: usize,
    length: usize,
}

/// Prints median, 90th percentile and maximum.
pub(super) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut files = Vec::new();
    let mut lengths = Vec::new();
    for source in sources {
        let length = source.text.lines().count();
        files.push(length);
        if length > MAX_FILE {
            complaints.push(format!(
                "{}: {length} lines, at most {MAX_FILE}",
                source.path
            ));
        }
        for Function { name, line, length } in functions(&source.text) {
            lengths.push(length);
            if length > MAX_FUNCTION {
                let path = &source.path;
                complaints.push(format!(
                    "{path}:{line}: {name} has {length} lines, at most {MAX_FUNCTION}"
                ));
            }
        }
    }
    print("files", files);
    print("functions", lengths);
    complaints
}

fn print(what: &str, mut lengths: Vec<usize>) {
    lengths.sort_unstable();
    let at = |percent: usize| {
        let index = lengths.len().saturating_sub(1) * percent / 100;
        lengths.get(index).copied().unwrap_or_default()
    };
    println!(
        "{what}: {} with median {} / p90 {} / max {} lines",
        lengths.len(),
        at(50),
        at(90),
        at(100)
    );
}

/// Relies on rustfmt: a function ends at the closing brace under its first line.
fn functions(text: &str) -> Vec<Function<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let rest = lines.iter().skip(index);
        if let Some(offset) = rest.clone().position(|line| *line == end) {
            functions.push(Function {
                name,
                line: index + 1,
                length: offset + 1,
            });
        }
    }
    functions
}

fn function_name(line: &str) -> Option<&str> {
    if line.trim_end().ends_with(';') || line.trim_end().ends_with('}') {
        return None;
    }
    let (before, after) = line.trim_start().split_once("fn ")?;
    let modifiers = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "async",
        "const",
        "extern",
    ];
    let is_item = before
        .split_whitespace()
        .all(|word| modifiers.contains(&word));
    is_item.then(|| after.split(['(', '<']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_as_long_as_from_its_name_to_its_brace() {
        let text =
            "impl A {\n    pub async fn go(\n        x: u8,\n    ) {\n        x;\n    }\n}\n";
        let found = functions(text);
        assert_eq!(
            (found[0].name, found[0].line, found[0].length),
            ("go", 2, 5)
        );
    }
}
