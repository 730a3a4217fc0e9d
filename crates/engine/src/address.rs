//! Where a server is and how to speak to it: everything of a connection string but who logs in.

use std::{fmt, str::FromStr};

pub use api::ssl_mode::SslMode;

/// The port that PostgreSQL clients assume.
pub const DEFAULT_PORT: u16 = 5432;

/// The engines that claims are served on; what differs between them follows from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Engine {
    Postgres,
    Mongo,
}

impl Engine {
    /// The engine that a `type` or `engine` field means; empty is PostgreSQL.
    pub fn of_type(word: &str) -> Option<Self> {
        match word {
            "" | "postgres" | "aurora-postgresql" => Some(Self::Postgres),
            "mongodb" => Some(Self::Mongo),
            _ => None,
        }
    }
}

/// How a server's URIs begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `postgres://`
    #[default]
    Postgres,
    /// `mongodb://`
    Mongo,
    /// `mongodb+srv://`: one name, whose DNS records say hosts and ports.
    MongoSrv,
}

impl Scheme {
    pub fn engine(self) -> Engine {
        match self {
            Self::Postgres => Engine::Postgres,
            Self::Mongo | Self::MongoSrv => Engine::Mongo,
        }
    }

    /// The port that clients assume.
    pub fn default_port(self) -> u16 {
        match self.engine() {
            Engine::Postgres => DEFAULT_PORT,
            Engine::Mongo => 27017,
        }
    }
}

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
    pub scheme: Scheme,
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
            scheme: Scheme::default(),
            primary: endpoint,
            others: Vec::new(),
            ssl_mode,
            ca: None,
            parameters: Vec::new(),
        }
    }

    /// The same server, spoken to by another kind of URI.
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    pub fn parameter(&self, keyword: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(name, _)| name == keyword);
        found.map(|(_, value)| value.as_str())
    }

    /// The first host's port; none where DNS says it.
    pub fn port(&self) -> Option<u16> {
        (self.scheme != Scheme::MongoSrv).then_some(self.primary.port)
    }

    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.primary).chain(&self.others)
    }
}

impl fmt::Display for Address {
    /// Hosts and ports only: what logs, metrics and bounds per server use as a server's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::MongoSrv {
            return f.write_str(&self.primary.host);
        }
        write!(f, "{}", self.primary)?;
        self.others
            .iter()
            .try_for_each(|endpoint| write!(f, ",{endpoint}"))
    }
}
