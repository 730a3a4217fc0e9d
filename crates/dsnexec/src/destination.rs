//! Where the commands of a config go, all of them in one run. What fails is told by kind and code:
//! a server's own message may quote values, and so may a program's.

mod bind;
mod file;
mod postgres;
mod shell;

use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use hotload::follow::{Follower, Watch, follow};

use crate::connect::Address;
use crate::format;
use crate::value::{Text, Value};

/// How long one command may take; a run that hangs would hide every later change.
pub const COMMAND_TIMEOUT: Duration = Duration::from_mins(5);

pub struct Destination(Kind);

enum Kind {
    Postgres(Address),
    Hotload(hotload::Source),
    Shell,
    File(PathBuf),
}

/// What happens to the commands before one that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    Each,
    Together,
}

/// A command with its values in it.
pub struct Statement {
    /// What errors call it.
    pub label: String,
    pub text: Text,
    pub arguments: Vec<Value>,
}

/// A run that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no connection to the destination: {0}")]
    Connect(Failure),
    #[error("the destination has no DSN: {0}")]
    NoDsn(String),
    #[error("the transaction was not committed: {0}")]
    Commit(Failure),
    #[error("command {number} ({label}): {failure}")]
    Command {
        number: usize,
        label: String,
        failure: Failure,
    },
}

/// Why something failed, without anything that was sent or answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the server refuses with SQLSTATE {0}")]
    Refused(String),
    #[error("the server can't be reached, or has hung up")]
    Unreachable,
    #[error("no answer in time")]
    TimedOut,
    #[error("TLS failed")]
    Tls,
    #[error("the driver can't do it")]
    Driver,
    #[error("the statement has {want} parameters, and there are {given} arguments")]
    Count { want: usize, given: usize },
    #[error("argument {number} is no {want}")]
    Argument { number: usize, want: &'static str },
    #[error(
        "argument {number} is for a parameter of a type that is not supported; write ${number}::text and cast that"
    )]
    ArgumentType { number: usize },
    #[error("the program can't be started: {0}")]
    Start(std::io::ErrorKind),
    #[error("the program ended with {0}")]
    Exit(String),
    #[error(transparent)]
    Format(#[from] format::Error),
    #[error("the file can't be written: {0}")]
    Write(std::io::ErrorKind),
}

/// What is needed to run commands again and again.
pub enum Session {
    Fixed(Address),
    /// The file's DSN, as it is when a run starts.
    Followed(Watch<Address>),
    Shell,
    File(PathBuf),
}

impl Destination {
    pub fn postgres(address: Address) -> Self {
        Self(Kind::Postgres(address))
    }

    pub fn hotload(source: hotload::Source) -> Self {
        Self(Kind::Hotload(source))
    }

    pub fn shell() -> Self {
        Self(Kind::Shell)
    }

    pub fn file(path: PathBuf) -> Self {
        Self(Kind::File(path))
    }

    pub fn is_database(&self) -> bool {
        matches!(self.0, Kind::Postgres(_) | Kind::Hotload(_))
    }

    /// What to call a command that begins with `text`: an SQL keyword, or what it is.
    pub fn label(&self, text: &str) -> String {
        match self.0 {
            Kind::Shell => "program".to_owned(),
            Kind::File(_) => "format".to_owned(),
            Kind::Postgres(_) | Kind::Hotload(_) => keyword(text),
        }
    }

    /// Opens nothing yet. The follower, if there is one, must run for the session to be of use.
    pub fn session(
        self,
        options: hotload::follow::Options,
    ) -> (Session, Option<Follower<Address>>) {
        match self.0 {
            Kind::Postgres(address) => (Session::Fixed(address), None),
            Kind::Shell => (Session::Shell, None),
            Kind::File(path) => (Session::File(path), None),
            Kind::Hotload(source) => {
                let (follower, watch) = follow(source.path(), options, Address::parse);
                (Session::Followed(watch), Some(follower))
            }
        }
    }
}

impl Session {
    /// Runs all statements in order, up to the first that fails. `hidden` are texts that must not
    /// get into the log with a program's output.
    pub async fn run(
        &mut self,
        statements: &[Statement],
        commit: Commit,
        hidden: &[&str],
    ) -> Result<(), Error> {
        match self {
            Self::Fixed(address) => postgres::run(address, statements, commit).await,
            Self::Followed(watch) => {
                // What is used from here on is no change.
                let _ = watch.next().now_or_never();
                let version = watch.current().ok_or_else(|| Error::NoDsn(reason(watch)))?;
                postgres::run(&version.value, statements, commit).await
            }
            Self::Shell => {
                for (number, statement) in (1..).zip(statements) {
                    let result = shell::run(statement, hidden).await;
                    result.map_err(|failure| failed(number, statement, failure))?;
                }
                Ok(())
            }
            Self::File(path) => {
                for (number, statement) in (1..).zip(statements) {
                    let result = file::write(path, statement).await;
                    result.map_err(|failure| failed(number, statement, failure))?;
                }
                Ok(())
            }
        }
    }

    /// Ends when the DSN of the destination was replaced. May be dropped at any time.
    pub async fn changed(&mut self) {
        match self {
            Self::Followed(watch) => {
                if watch.next().await.is_ok() {
                    return;
                }
            }
            Self::Fixed(_) | Self::Shell | Self::File(_) => {}
        }
        std::future::pending::<()>().await;
    }
}

/// Why a followed file has no contents yet.
pub(crate) fn reason<T>(watch: &Watch<T>) -> String {
    let refusal = watch.refusal();
    refusal.map_or_else(
        || "its file was not read yet".to_owned(),
        |refusal| refusal.reason(),
    )
}

fn failed(number: usize, statement: &Statement, failure: Failure) -> Error {
    Error::Command {
        number,
        label: statement.label.clone(),
        failure,
    }
}

/// The first word of a statement behind blanks and comments, if it can be a keyword.
fn keyword(text: &str) -> String {
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix("--") {
        rest = comment
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic());
    // A word without an end may go on in what a template puts there.
    match end.and_then(|end| rest.split_at_checked(end)) {
        Some((word, rest))
            if (1..=12).contains(&word.len())
                && rest.starts_with(|c: char| c.is_whitespace() || ";(".contains(c)) =>
        {
            word.to_ascii_uppercase()
        }
        _ => "statement".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::keyword;

    #[test]
    fn a_statement_is_called_by_its_first_keyword() {
        assert_eq!(keyword("  -- why\n\talter server x"), "ALTER");
        assert_eq!(keyword("vacuum;"), "VACUUM");
        assert_eq!(keyword("hunter2 and more"), "statement");
        assert_eq!(keyword("verylongnothingofaword "), "statement");
        assert_eq!(keyword("word"), "statement");
        assert_eq!(keyword(""), "statement");
    }
}
