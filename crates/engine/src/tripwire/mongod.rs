//! Reads mongod's log: one JSON document a line (manual, "Log Messages"). What is spoilt, cut or
//! unknown is passed over.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Attempt;

/// What a refused login is called: message 20249 of mongod 6.0, and 5286307 of later ones.
const REFUSALS: [&str; 2] = ["Authentication failed", "Failed to authenticate"];

/// The fields that a line has, among others.
#[derive(Deserialize)]
struct Line {
    t: Time,
    #[serde(default)]
    c: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    attr: Value,
}

#[derive(Deserialize)]
struct Time {
    #[serde(rename = "$date")]
    date: Timestamp,
}

/// When a line was written, and the refused login that it tells of.
pub fn read(line: &str) -> Option<(Timestamp, Option<Attempt>)> {
    let line: Line = serde_json::from_str(line).ok()?;
    Some((line.t.date, line.attempt()))
}

impl Line {
    fn attempt(&self) -> Option<Attempt> {
        if self.c != "ACCESS" || !REFUSALS.contains(&self.msg.as_str()) {
            return None;
        }
        let text = |names: [&str; 2]| {
            let mut found = names.into_iter().filter_map(|name| self.attr.get(name));
            found.next()?.as_str()
        };
        let login = text(["user", "principalName"])?;
        let database = text(["db", "authenticationDatabase"])?;
        let client = text(["client", "remote"]).and_then(|client| client.rsplit_once(':'));
        let address = client.map(|(host, _)| host.trim_matches(['[', ']']));
        Attempt::parse(self.t.date, login, Some(database), address)
    }
}

/// Up to when the log of each member was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read(BTreeMap<String, Timestamp>);

impl Read {
    /// What [`fmt::Display`] wrote; what is spoilt is as if it had not been read.
    pub fn parse(text: &str) -> Self {
        let members = text.split(' ').filter_map(|entry| {
            let (member, until) = entry.rsplit_once('=')?;
            Some((member.to_owned(), until.parse().ok()?))
        });
        Self(members.collect())
    }

    /// Takes in what a member has in memory of its log; tells what is new. A member that was not
    /// read before tells nothing: reading begins at its end.
    pub fn take<'a>(
        &mut self,
        member: &str,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Attempt> {
        let since = self.0.get(member).copied();
        let mut newest = since.unwrap_or(Timestamp::UNIX_EPOCH);
        let mut attempts = Vec::new();
        for (at, attempt) in lines.into_iter().filter_map(read) {
            newest = newest.max(at);
            let is_new = since.is_some_and(|since| at > since);
            attempts.extend(attempt.filter(|_| is_new));
        }
        self.0.insert(member.to_owned(), newest);
        attempts
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (member, until)) in self.0.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{member}={until}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
