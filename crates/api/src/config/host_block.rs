//! Host blocks: servers that the config file names.
//! A block says where a server is and which Secret has its admin password; it never holds one.

use super::{
    SslMode,
    reader::{Given, Reader, has_any},
    tree::{Entry, Node, Value},
};

/// A server, under its name: `atlas.recyclebin: {host: pg2.internal, ...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostBlock {
    /// Name of the admin login; `defaultMasterUsername` where absent.
    pub username: String,
    /// Name or address without port; an IPv6 address without brackets.
    pub host: String,
    /// `defaultMasterPort` where absent.
    pub port: u16,
    /// `defaultSslMode` where absent.
    pub ssl_mode: SslMode,
    /// Name of the Secret with the admin password, in the controller's namespace.
    pub password_secret_ref: String,
    /// Key in that Secret; `password` where absent.
    pub password_secret_key: String,
}

/// What a block leaves out.
pub(super) struct Defaults {
    pub(super) username: String,
    pub(super) port: u16,
    pub(super) ssl_mode: SslMode,
}

/// A map with one of these is a host block.
pub(super) const TELLING_KEYS: [&str; 3] = ["host", "passwordSecretRef", "username"];

/// Splits a top-level entry into a block's name and its keys, unless it is no host block.
pub(super) fn recognise(entry: Entry) -> Result<(String, usize, Vec<Entry>), Entry> {
    if !has_any(&entry.node, &TELLING_KEYS) {
        return Err(entry);
    }
    let Entry { key, line, node } = entry;
    match node {
        Node {
            value: Value::Map(entries),
            ..
        } => Ok((key, line, entries)),
        node => Err(Entry { key, line, node }),
    }
}

impl HostBlock {
    /// Reads the block that starts in `line`; none if what it must have is missing or wrong.
    pub(super) fn read(from: &mut Reader, line: usize, defaults: &Defaults) -> Option<Self> {
        let username = from.nonempty("username").map(|given| given.value);
        let host = from.nonempty("host");
        let port = from.within("port", 1..=u16::MAX);
        let ssl_mode = from.choice("sslMode").map(|given| given.value);
        let secret = from.nonempty("passwordSecretRef").map(|given| given.value);
        let key = from.nonempty("passwordSecretKey").map(|given| given.value);
        if secret.is_none() && !from.has_error("passwordSecretRef") {
            let message = "is missing; name the Secret that holds the admin password";
            from.error("passwordSecretRef", line, message);
        }
        if host.is_none() && !from.has_error("host") {
            from.error(
                "host",
                line,
                "is missing; a server needs a name or an address",
            );
        }
        for entry in from.rest() {
            from.unknown(&entry, "");
        }
        Some(Self {
            username: username.unwrap_or_else(|| defaults.username.clone()),
            host: address(from, host?)?,
            port: port.unwrap_or(defaults.port),
            ssl_mode: ssl_mode.unwrap_or(defaults.ssl_mode),
            password_secret_ref: secret?,
            password_secret_key: key.unwrap_or_else(|| "password".to_owned()),
        })
    }
}

/// A host without anything that belongs elsewhere. Brackets around an IPv6 address are dropped.
fn address(from: &mut Reader, given: Given<String>) -> Option<String> {
    let Given { value, line } = given;
    let bare = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(&value);
    let is_ipv6 = bare.parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let message = if is_ipv6 || (bare == value && bare.chars().all(is_name)) {
        return Some(bare.to_owned());
    } else if value.contains("://") || value.contains('@') {
        "is a DSN or URL; write only the host, and the other parts under their own keys"
    } else if value.contains(':') {
        "has a port; write it under `port`"
    } else {
        "is no host name or address"
    };
    from.error("host", line, message);
    None
}
