//! Where a server is and how to speak to it: everything of a connection string but who logs in.

use std::{fmt, str::FromStr};

pub use api::ssl_mode::SslMode;

/// The port that PostgreSQL clients assume.
pub const DEFAULT_PORT: u16 = 5432;

/// One host and port. The host is a name, an IPv4 or a bare IPv6 address, without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// Brackets an IPv6 address, as URIs want it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("port {0:?} is not a number from 1 to 65535")]
pub struct PortError(String);

/// Reads a port; an empty text is the default port.
pub fn parse_port(text: &str) -> Result<u16, PortError> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    match u16::from_str(text) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(PortError(text.to_owned())),
    }
}

/// A server, or the members of one server in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub primary: Endpoint,
    /// Further members, for clients that know how to choose (`target_session_attrs`).
    pub others: Vec<Endpoint>,
    pub ssl_mode: SslMode,
    /// PEM certificates to trust, for `verify-ca` and `verify-full`.
    pub ca: Option<String>,
    /// Other parameters that clients need, in the order in which they stood.
    pub parameters: Vec<(String, String)>,
}

impl Address {
    pub fn new(endpoint: Endpoint, ssl_mode: SslMode) -> Self {
        Self {
            primary: endpoint,
            others: Vec::new(),
            ssl_mode,
            ca: None,
            parameters: Vec::new(),
        }
    }

    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.primary).chain(&self.others)
    }
}

impl fmt::Display for Address {
    /// Hosts and ports only: what logs, metrics and bounds per server use as a server's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.primary)?;
        self.others
            .iter()
            .try_for_each(|endpoint| write!(f, ",{endpoint}"))
    }
}
