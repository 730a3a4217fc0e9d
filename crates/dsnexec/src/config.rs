//! Configs: which files are followed, where commands go, and the commands. Whatever can be wrong
//! with a config is found before the first command runs; a sentence about it names the config, the
//! command and the line, and never quotes a value.

mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::connect;
use crate::destination::{Commit, Destination};
use crate::source::{Driver, Source};
use crate::template::{self, Template};

pub struct Config {
    pub name: String,
    pub sources: Vec<Source>,
    pub destination: Destination,
    pub commands: Vec<Command>,
    pub commit: Commit,
}

pub struct Command {
    /// What errors and logs call it: its first keyword.
    pub label: String,
    pub text: Template,
    pub arguments: Vec<Template>,
}

/// What the command line says about configs.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Names of configs to run although they are disabled in the file.
    pub enable: Vec<String>,
    /// Names of configs not to run.
    pub disable: Vec<String>,
    pub shell: Shell,
}

/// Whether configs may run programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shell {
    Allowed,
    #[default]
    Refused,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the config file is no YAML, or has a value of the wrong kind{}: {what}", place(*.line))]
    File { line: Option<u64>, what: String },
    #[error("-{flag} names {name}, and the config file has no such config")]
    UnknownName { flag: char, name: String },
    #[error("config {config}: {problem}")]
    Config { config: String, problem: Problem },
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("source {number} has an unknown driver; use one of: {}", Driver::NAMES)]
    UnknownSource { number: usize },
    #[error("source {number} has no filename")]
    NoFilename { number: usize },
    #[error("source {number} has the filename of another one; each is read once")]
    SameFilename { number: usize },
    #[error("the destination: {0}")]
    Destination(#[source] DestinationProblem),
    #[error("transaction needs a destination of driver postgres or hotload")]
    NoTransaction,
    #[error("there is no command")]
    NoCommand,
    #[error("command {number}{argument}, line {line} of the file: {problem}",
        argument = which(*.argument))]
    Template {
        number: usize,
        argument: Option<usize>,
        /// Of the template's line, where the file shows it as it is.
        line: u64,
        problem: template::Problem,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum DestinationProblem {
    #[error("unknown driver; use one of: postgres, hotload, shelldb, fprintf")]
    UnknownDriver,
    #[error("driver shelldb runs programs and is refused without --allow-shelldb")]
    ShellRefused,
    #[error("its dsn is {0}")]
    Hotload(hotload::SourceError),
    #[error("its dsn is {0}")]
    Postgres(connect::Error),
    #[error("its dsn is not of the form file:///path, or file:///$tmp/name")]
    File,
}

fn place(line: Option<u64>) -> String {
    line.map(|line| format!(" on line {line}"))
        .unwrap_or_default()
}

fn which(argument: Option<usize>) -> String {
    argument
        .map(|number| format!(", argument {number}"))
        .unwrap_or_default()
}

/// Reads the file's text. Disabled configs are checked as well, since somebody may enable them.
pub fn parse(text: &str, choice: &Choice) -> Result<Vec<Config>, Error> {
    let file: file::File = serde_saphyr::from_str(text).map_err(|err| Error::File {
        line: err.location().map(|place| place.line()),
        what: harmless(&err),
    })?;
    let Choice {
        enable,
        disable,
        shell,
    } = choice;
    for (flag, names) in [('e', enable), ('d', disable)] {
        if let Some(name) = names.iter().find(|name| !file.configs.contains_key(*name)) {
            return Err(Error::UnknownName {
                flag,
                name: name.clone(),
            });
        }
    }
    let mut configs = Vec::new();
    for (name, config) in file.configs {
        let is_off = disable.contains(&name) || (config.disabled && !enable.contains(&name));
        let checked = check(name.clone(), config, *shell, is_off);
        let checked = checked.map_err(|problem| Error::Config {
            config: name,
            problem,
        })?;
        if !is_off {
            configs.push(checked);
        }
    }
    Ok(configs)
}

/// Serde's words about keys are ours to show; those about values quote the value.
fn harmless(err: &serde_saphyr::Error) -> String {
    let text = err.without_snippet().to_string();
    let about_keys = ["unknown field", "missing field", "duplicate"];
    let line = text.lines().next().unwrap_or_default();
    match about_keys.iter().find_map(|words| line.find(words)) {
        Some(start) => line.get(start..).unwrap_or_default().to_owned(),
        None => "compare it with the reference".to_owned(),
    }
}

fn check(
    name: String,
    config: file::Config,
    shell: Shell,
    is_off: bool,
) -> Result<Config, Problem> {
    let file::Config {
        disabled: _,
        sources,
        destination,
        commands,
        transaction,
    } = config;
    let mut known: BTreeMap<PathBuf, Driver> = BTreeMap::new();
    for (number, source) in (1..).zip(sources) {
        let file::Source { driver, filename } = source;
        let driver = Driver::from_name(&driver).ok_or(Problem::UnknownSource { number })?;
        if filename.is_empty() {
            return Err(Problem::NoFilename { number });
        }
        if known.insert(filename.into(), driver).is_some() {
            return Err(Problem::SameFilename { number });
        }
    }
    // What is off may stay refused, so that one file serves pods with and without the flag.
    let shell = if is_off { Shell::Allowed } else { shell };
    let file::Destination { driver, dsn } = destination;
    let destination = destination_of(&driver, &dsn, shell).map_err(Problem::Destination)?;
    if transaction && !destination.is_database() {
        return Err(Problem::NoTransaction);
    }
    if commands.is_empty() {
        return Err(Problem::NoCommand);
    }
    let commands = (1..).zip(commands);
    let commands = commands.map(|(number, command)| check_command(number, command, &destination));
    Ok(Config {
        name,
        sources: known
            .into_iter()
            .map(|(path, driver)| Source { driver, path })
            .collect(),
        commands: commands.collect::<Result<_, _>>()?,
        destination,
        commit: if transaction {
            Commit::Together
        } else {
            Commit::Each
        },
    })
}

fn destination_of(
    driver: &str,
    dsn: &SecretString,
    shell: Shell,
) -> Result<Destination, DestinationProblem> {
    match driver {
        "postgres" => connect::Address::parse(dsn)
            .map(Destination::postgres)
            .map_err(DestinationProblem::Postgres),
        "hotload" => connect::followed(dsn)
            .map(Destination::hotload)
            .map_err(DestinationProblem::Hotload),
        "fprintf" => connect::file(dsn)
            .map(Destination::file)
            .ok_or(DestinationProblem::File),
        "shelldb" if shell == Shell::Refused => Err(DestinationProblem::ShellRefused),
        "shelldb" => Ok(Destination::shell()),
        _ => Err(DestinationProblem::UnknownDriver),
    }
}

fn check_command(
    number: usize,
    command: file::Command,
    destination: &Destination,
) -> Result<Command, Problem> {
    let file::Command { command, args } = command;
    let parse = |argument, text: &serde_saphyr::Spanned<String>| {
        Template::parse(&text.value).map_err(|template::Error { line, problem }| {
            let line = text.defined.line() + line as u64 - 1;
            Problem::Template {
                number,
                argument,
                line,
                problem,
            }
        })
    };
    let text = parse(None, &command)?;
    let arguments = (1..)
        .zip(&args)
        .map(|(number, argument)| parse(Some(number), argument));
    Ok(Command {
        label: destination.label(text.beginning()),
        arguments: arguments.collect::<Result<_, _>>()?,
        text,
    })
}

#[cfg(test)]
mod tests;
