//! The config file as it is written. Nothing is checked here but names of keys and kinds of values.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) configs: BTreeMap<String, Config>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) disabled: bool,
    #[serde(default)]
    pub(super) sources: Vec<Source>,
    pub(super) destination: Destination,
    #[serde(default)]
    pub(super) commands: Vec<Command>,
    /// Ours: all commands or none.
    #[serde(default)]
    pub(super) transaction: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    #[serde(default)]
    pub(super) driver: String,
    pub(super) filename: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Destination {
    pub(super) driver: String,
    #[serde(default = "nothing", deserialize_with = "secret")]
    pub(super) dsn: SecretString,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    pub(super) command: Spanned<String>,
    #[serde(default)]
    pub(super) args: Vec<Spanned<String>>,
}

fn nothing() -> SecretString {
    SecretString::from("")
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}
