//! Sources: what a followed file gives to templates. Errors say what is wrong, never what was read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::dsn;
use crate::value::Value;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Postgres,
    Json,
    Yaml,
    /// Not at all: its changes only start a run.
    Trigger,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub driver: Driver,
    pub path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Dsn(#[from] dsn::Error),
    #[error("not JSON: see line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("not YAML{}", place(*.line))]
    Yaml { line: Option<u64> },
    #[error("a list or a single value, where a map of keys and values belongs")]
    NoMap,
}

fn place(line: Option<u64>) -> String {
    line.map(|line| format!(": see line {line}"))
        .unwrap_or_default()
}

impl Driver {
    pub const NAMES: &'static str = "postgres, json, yaml, none";

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "postgres" => Some(Self::Postgres),
            "json" => Some(Self::Json),
            "yaml" => Some(Self::Yaml),
            "none" | "" => Some(Self::Trigger),
            _ => None,
        }
    }

    /// The map that templates find under the file's name.
    pub fn read(self, contents: &SecretString) -> Result<Value, Error> {
        let text = contents.expose_secret();
        let value: serde_json::Value = match self {
            Self::Postgres => return Ok(postgres(text)?),
            Self::Json => serde_json::from_str(text).map_err(|err| Error::Json {
                line: err.line(),
                column: err.column(),
            })?,
            Self::Yaml => serde_saphyr::from_str(text).map_err(|err| Error::Yaml {
                line: err.location().map(|place| place.line()),
            })?,
            Self::Trigger => return Ok(Value::Map(BTreeMap::new())),
        };
        match Value::from(value) {
            value @ Value::Map(_) => Ok(value),
            _ => Err(Error::NoMap),
        }
    }
}

/// The options of the DSN, and itself as `raw_dsn`.
fn postgres(text: &str) -> Result<Value, dsn::Error> {
    let options = dsn::parse(text)?.into_iter();
    let mut map: BTreeMap<_, _> = options
        .map(|(keyword, value)| (keyword, Value::Text(value)))
        .collect();
    map.insert("raw_dsn".to_owned(), Value::text(text.trim()));
    Ok(Value::Map(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(driver: Driver, text: &str, want: Result<&str, &str>) {
        let got = driver.read(&SecretString::from(text));
        let got = got
            .map(|value| value.printed().to_string())
            .map_err(|err| err.to_string());
        let want = want.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn row_71_a_source_gives_its_options_and_its_numbers_as_they_are() {
        check(
            Driver::Postgres,
            "host=h user=u\n",
            Ok("map[host:h raw_dsn:host=h user=u user:u]"),
        );
        let numbers = "map[a:5432 b:18446744073709551615 c:1000000 d:map[e:[0.5 -1]]]";
        check(
            Driver::Json,
            r#"{"a": 5432, "b": 18446744073709551615, "c": 1e6, "d": {"e": [0.5, -1]}}"#,
            Ok(numbers),
        );
        check(
            Driver::Yaml,
            "a: 5432\nb: 18446744073709551615\nc: 1000000\nd: {e: [0.5, -1]}\n",
            Ok(numbers),
        );
        check(Driver::Trigger, "anything", Ok("map[]"));
    }

    #[test]
    fn a_source_that_is_not_of_its_kind_is_refused_without_being_quoted() {
        check(
            Driver::Postgres,
            "hunter2",
            Err("not a DSN: neither a postgres:// URI nor a list of keyword=value"),
        );
        check(
            Driver::Json,
            "{\n\"hunter2",
            Err("not JSON: see line 2, column 8"),
        );
        check(Driver::Yaml, "a: [hunter2", Err("not YAML: see line 1"));
        check(
            Driver::Json,
            "[\"hunter2\"]",
            Err("a list or a single value, where a map of keys and values belongs"),
        );
    }
}
