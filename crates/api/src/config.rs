//! The config file: its keys, units, defaults and bounds.
//!
//! Text in, value out. Nothing here opens a file, reads the environment or looks at a clock; who
//! reloads decides what a refused file means. Keys and units are the original controller's, so a
//! deployed file works unchanged, and what it silently got wrong is said.

mod compare;
mod equals_sign;
mod host_block;
mod nearest;
mod password;
mod problem;
mod provider;
mod reader;
mod tree;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use strum::{Display, EnumIter, EnumString};

pub use self::{
    compare::environment_overrides,
    host_block::HostBlock,
    password::{Complexity, PasswordPolicy},
    problem::Problem,
    provider::{BackupPolicy, Cloud, DeletionPolicy, LogsExport, ProviderConfig, ReclaimPolicy},
};
use self::{
    reader::Reader,
    tree::{Entry, Node, Value},
};
use crate::ssl_mode::SslMode;

/// What the controller is told by its config file. `Config::default()` is an empty file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `env`: prefix of host identifiers; may be empty where no instances are provisioned.
    pub env: String,
    /// `cloud`.
    pub cloud: Cloud,
    /// `region`.
    pub region: String,
    /// `defaultSslMode`: for new databases and for DSNs without `sslmode`.
    pub default_ssl_mode: SslMode,
    /// `defaultMasterPort`.
    pub default_master_port: u16,
    /// `defaultMasterUsername`.
    pub default_master_username: String,
    /// `defaultDeletionPolicy`: of cloud resources.
    pub default_deletion_policy: DeletionPolicy,
    /// `defaultReclaimPolicy`: of cloud objects. Never a reason to drop anything in a database.
    pub default_reclaim_policy: ReclaimPolicy,
    /// `dynamicHostWaitTimeMin`, 1 to 10 minutes: pause between looks at an instance that is
    /// being provisioned.
    pub dynamic_host_wait: Duration,
    /// `supportSuperUserElevation`: whether a claim's `enableSuperUser` is heard at all.
    pub support_super_user_elevation: bool,
    /// `passwordConfig`.
    pub password: PasswordPolicy,
    /// `systemFunctions`: `schema_name` in small letters to the text that `schema.name()` returns.
    pub system_functions: BTreeMap<String, String>,
    /// Host blocks by name, spelled as in the file.
    pub servers: BTreeMap<String, HostBlock>,
    /// Keys for instances in a cloud.
    pub provider: ProviderConfig,
    /// `driftCheckPeriod`, at least 1 s: how often a published credential is proved by a login.
    pub drift_check_period: Duration,
    /// `defaultExtensions`: created in each database where the server has them.
    pub default_extensions: Vec<String>,
    /// `maxConcurrentReconciles`: claims worked on at once.
    pub max_concurrent_reconciles: u16,
    /// `maxConnectionsPerServer`: claims of one server worked on at once, each over one admin
    /// connection, and a second one while its new database is filled.
    pub max_connections_per_server: u16,
    /// `adminSecretNamespaces`: where DatabaseServers may have their admins' Secrets, beside the
    /// controller's own namespace.
    pub admin_secret_namespaces: Vec<String>,
    /// `overlap`: how long the previous login stays usable; one rotation period if none.
    pub overlap: Option<Duration>,
    /// `maxOverlap`: after this, live sessions of the previous login are ended; never if none.
    pub max_overlap: Option<Duration>,
}

/// A file that can be used, and what its author should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The values, defaults filled in.
    pub config: Config,
    /// In the order of the file.
    pub warnings: Vec<Problem>,
}

const DEFAULT_EXTENSIONS: [&str; 5] = [
    "citext",
    "uuid-ossp",
    "pgcrypto",
    "hstore",
    "pg_stat_statements",
];

impl Config {
    /// Reads a config file. Errors: every problem that refuses the file, in its order.
    pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
        let document = tree::parse(text).map_err(|problem| {
            let explained = equals_sign::explain(text, problem.line.unwrap_or(usize::MAX));
            explained.into_iter().chain([problem]).collect::<Vec<_>>()
        })?;
        let mut reader = Reader::new(String::new(), root_entries(document.root)?);
        if let Some(line) = document.second {
            reader.warn(
                "",
                line,
                "a second document starts here; only the first is read",
            );
        }
        let config = Self::read(&mut reader);
        let Reader {
            mut errors,
            mut warnings,
            ..
        } = reader;
        errors.sort_by_key(|problem| problem.line);
        warnings.sort_by_key(|problem| problem.line);
        if errors.is_empty() {
            Ok(Parsed { config, warnings })
        } else {
            Err(errors)
        }
    }

    /// The host block called `name`, in any case: keys have none.
    pub fn server(&self, name: &str) -> Option<(&str, &HostBlock)> {
        let mut servers = self.servers.iter();
        servers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(key, block)| (key.as_str(), block))
    }

    /// Takes every key out of `from`. Wrong values become defaults; the errors are in `from`.
    fn read(from: &mut Reader) -> Self {
        from.flatten("passwordConfig");
        from.flatten("systemFunctions");
        read_dead_keys(from);
        let deletion = chosen(from, "defaultDeletionPolicy");
        let password = PasswordPolicy::read(from);
        let (overlap, max_overlap) = read_overlaps(from, &password);
        let mut config = Self {
            env: from.text("env").unwrap_or_default(),
            cloud: chosen(from, "cloud"),
            region: from.text("region").unwrap_or_default(),
            default_ssl_mode: chosen(from, "defaultSslMode"),
            default_master_port: from
                .within("defaultMasterPort", 1..=u16::MAX)
                .unwrap_or(5432),
            default_master_username: from
                .nonempty("defaultMasterUsername")
                .map_or_else(|| "root".to_owned(), |given| given.value),
            default_deletion_policy: deletion,
            default_reclaim_policy: chosen(from, "defaultReclaimPolicy"),
            dynamic_host_wait: read_host_wait(from),
            support_super_user_elevation: read_elevation(from),
            password,
            system_functions: read_system_functions(from),
            servers: BTreeMap::new(),
            provider: ProviderConfig::read(from, deletion),
            drift_check_period: read_drift_check_period(from),
            default_extensions: from
                .list("defaultExtensions")
                .unwrap_or_else(|| DEFAULT_EXTENSIONS.map(str::to_owned).to_vec()),
            max_concurrent_reconciles: from
                .within("maxConcurrentReconciles", 1..=1000)
                .unwrap_or(64),
            max_connections_per_server: from
                .within("maxConnectionsPerServer", 1..=1000)
                .unwrap_or(8),
            admin_secret_namespaces: from.list("adminSecretNamespaces").unwrap_or_default(),
            overlap,
            max_overlap,
        };
        config.servers = read_rest(from, &config);
        config
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::read(&mut Reader::default())
    }
}

/// Keys of the original that do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "lowercase")]
enum AuthSource {
    Secret,
    Aws,
}

fn root_entries(root: Node) -> Result<Vec<Entry>, Vec<Problem>> {
    let Node { line, value } = root;
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Map(entries) => Ok(entries),
        Value::Scalar(_) | Value::List(_) => {
            let key = match &value {
                Value::Scalar(text) => equals_sign::key_of(text),
                _ => None,
            };
            Err(vec![key.map_or_else(
                || Problem::new("", Some(line), "expected `key: value` lines"),
                |key| equals_sign::problem(key, key, line),
            )])
        }
    }
}

fn chosen<T>(from: &mut Reader, key: &'static str) -> T
where
    T: std::str::FromStr + strum::IntoEnumIterator + std::fmt::Display + Default,
{
    from.choice(key)
        .map(|given| given.value)
        .unwrap_or_default()
}

fn read_dead_keys(from: &mut Reader) {
    const ATHENA: &str = "athena-shared";
    if let Some(given) = from.choice("authSource") {
        match given.value {
            AuthSource::Secret => {
                from.warn("authSource", given.line, "has no effect and can be removed");
            }
            AuthSource::Aws => {
                let message = "`aws` is not supported; use `secret`, and passwords in Secrets";
                from.error("authSource", given.line, message);
            }
        }
    }
    if from.section_has(ATHENA, &host_block::TELLING_KEYS) {
        return;
    }
    from.flatten(ATHENA);
    for entry in from.section(ATHENA) {
        let key = format!("{ATHENA}.{}", entry.key);
        from.warn(&key, entry.line, "has no effect and can be removed");
    }
}

fn read_host_wait(from: &mut Reader) -> Duration {
    const KEY: &str = "dynamicHostWaitTimeMin";
    const DEFAULT: Duration = Duration::from_mins(1);
    let Some(given) = from.whole(KEY) else {
        return DEFAULT;
    };
    if let Ok(minutes @ 1..=10) = u64::try_from(given.value) {
        return Duration::from_mins(minutes);
    }
    let message = format!("is {}, outside 1 to 10; 1 is used", given.value);
    from.warn(KEY, given.line, message);
    DEFAULT
}

fn read_elevation(from: &mut Reader) -> bool {
    const KEY: &str = "supportSuperUserElevation";
    let Some(given) = from.flag(KEY) else {
        return false;
    };
    if given.value {
        let message = "is true: a claim with enableSuperUser gets superuser rights on servers \
                       that allow it";
        from.warn(KEY, given.line, message);
    }
    given.value
}

fn read_system_functions(from: &mut Reader) -> BTreeMap<String, String> {
    const SECTION: &str = "systemFunctions";
    let mut functions = BTreeMap::new();
    for Entry { key, line, node } in from.section(SECTION) {
        let path = format!("{SECTION}.{key}");
        let has_schema = key
            .split_once('_')
            .is_some_and(|(schema, name)| !schema.is_empty() && !name.is_empty());
        match node.value {
            Value::Scalar(_) | Value::Null if !has_schema => {
                let message = "is left out: the name must be `<schema>_<function>`";
                from.warn(&path, line, message);
            }
            Value::Scalar(text) => {
                functions.insert(key.to_ascii_lowercase(), text);
            }
            Value::Null => {
                functions.insert(key.to_ascii_lowercase(), String::new());
            }
            Value::List(_) | Value::Map(_) => {
                from.error(&path, line, format!("expected text, found {}", node.kind()));
            }
        }
    }
    functions
}

fn read_drift_check_period(from: &mut Reader) -> Duration {
    const KEY: &str = "driftCheckPeriod";
    const LEAST: Duration = Duration::from_secs(1);
    let Some(given) = from.duration(KEY) else {
        return Duration::from_mins(10);
    };
    let period = given.value.get();
    if period < LEAST {
        from.error(KEY, given.line, "must be at least 1s");
    }
    period.max(LEAST)
}

fn read_overlaps(
    from: &mut Reader,
    password: &PasswordPolicy,
) -> (Option<Duration>, Option<Duration>) {
    let overlap = from
        .duration("overlap")
        .map(|given| (given.value.get(), given.line));
    let max_overlap = from
        .duration("maxOverlap")
        .map(|given| (given.value.get(), given.line));
    if let Some((given, line)) = overlap
        && given < password::KUBELET_DELAY
    {
        let message = "is shorter than the two minutes that a pod may need to see a new Secret; \
                       pods can lose their login";
        from.warn("overlap", line, message);
    }
    let usual = overlap.map_or(password.rotation_period, |(given, _)| given);
    if let Some((given, line)) = max_overlap
        && given < usual
    {
        let message = "is shorter than the overlap: sessions are ended while their login is \
                       still good";
        from.warn("maxOverlap", line, message);
    }
    (
        overlap.map(|(given, _)| given),
        max_overlap.map(|(given, _)| given),
    )
}

/// Host blocks, and complaints about everything that is none.
fn read_rest(from: &mut Reader, config: &Config) -> BTreeMap<String, HostBlock> {
    let defaults = host_block::Defaults {
        username: config.default_master_username.clone(),
        port: config.default_master_port,
        ssl_mode: config.default_ssl_mode,
    };
    let mut servers = BTreeMap::new();
    for entry in from.rest() {
        match host_block::recognise(entry) {
            Ok((name, line, entries)) => {
                let mut nested = Reader::new(format!("{name}."), entries);
                let block = HostBlock::read(&mut nested, line, &defaults);
                from.absorb(nested);
                servers.extend(block.map(|block| (name, block)));
            }
            Err(entry) => read_stranger(from, &entry),
        }
    }
    servers
}

/// A key that is neither known nor a host block.
fn read_stranger(from: &mut Reader, entry: &Entry) {
    match &entry.node.value {
        // `block:` and below it `username=root`; on the key's own line it is just a text.
        Value::Scalar(text) if entry.node.line > entry.line => {
            if let Some(key) = equals_sign::key_of(text) {
                let path = format!("{}.{key}", entry.key);
                from.errors
                    .push(equals_sign::problem(path, key, entry.node.line));
            } else {
                from.unknown(entry, "");
            }
        }
        Value::Map(_) => from.unknown(entry, " (a server has `host` and `passwordSecretRef`)"),
        _ => from.unknown(entry, ""),
    }
}
