//! Runs a program. No shell is between: the command is the program, its arguments are passed as
//! they are. What it writes is logged, without any text of a source.

use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use super::{COMMAND_TIMEOUT, Failure, Statement};

/// More of the output is not logged.
const SHOWN_BYTES: usize = 4096;

/// Shorter texts of sources are no secrets, and would leave nothing of the output.
const SECRET_BYTES: usize = 4;

pub(super) async fn run(statement: &Statement, hidden: &[&str]) -> Result<(), Failure> {
    let Statement {
        label: _,
        text,
        arguments,
    } = statement;
    let arguments = arguments.iter().map(|value| value.printed().to_string());
    let child = Command::new(text.trim())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let child = child.map_err(|err| Failure::Start(err.kind()))?;
    let ended = timeout(COMMAND_TIMEOUT, child.wait_with_output()).await;
    let output = ended
        .map_err(|_| Failure::TimedOut)?
        .map_err(|err| Failure::Start(err.kind()))?;
    for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        for line in redacted(&String::from_utf8_lossy(bytes), hidden).lines() {
            tracing::info!(stream, output = line, "program wrote");
        }
    }
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::Exit(output.status.to_string()))
}

/// Redacts before it cuts, so that no half of a secret stays.
fn redacted(output: &str, hidden: &[&str]) -> String {
    let mut hidden: Vec<&str> = hidden.iter().map(|text| text.trim()).collect();
    hidden.retain(|text| text.len() >= SECRET_BYTES);
    // A DSN before the password in it.
    hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let mut output = output.to_owned();
    for text in hidden {
        output = output.replace(text, "***");
    }
    let mut end = output.len().min(SHOWN_BYTES);
    while !output.is_char_boundary(end) {
        end -= 1;
    }
    output.truncate(end);
    output
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn output_is_logged_without_texts_of_sources() {
        let hidden = ["s3cret", "host=h password=s3cret", "u"];
        let output = "up: host=h password=s3cret, s3cret";
        assert_eq!(redacted(output, &hidden), "up: ***, ***");
    }
}
