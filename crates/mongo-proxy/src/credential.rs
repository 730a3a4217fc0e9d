//! The connection string of the Secret, and the generations that it makes.
//!
//! A generation is one login: another password is the same generation, another login or another
//! authentication database a new one. The two newest are kept.

mod gate;
mod generations;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use gate::Permission;
pub(crate) use generations::{Generation, Generations};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("not a mongodb:// or mongodb+srv:// URI")]
    Scheme,
    #[error("a mongodb+srv:// URI has one host name and no port")]
    Srv,
    #[error("the URI has no login and password")]
    Login,
    #[error("the URI names no host")]
    Hosts,
    #[error("a part of the URI is not UTF-8")]
    Encoding,
}

/// Where the servers are and who logs in.
pub(crate) struct Credential {
    pub(crate) login: String,
    pub(crate) password: SecretString,
    pub(crate) auth_source: String,
    pub(crate) place: Place,
    /// Whom to trust; None where nothing is encrypted.
    pub(crate) trust: Option<Trust>,
}

/// Where the servers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Each `host:port`; at least one.
    Hosts(Vec<String>),
    /// A name whose hosts DNS knows.
    Name(String),
}

/// Whose certificate a server may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The host's, from the authority.
    Host,
    /// Any from the authority.
    Authority,
    /// Anybody's.
    Anybody,
}

impl Credential {
    pub(crate) fn parse(uri: &SecretString) -> Result<Self, Malformed> {
        let uri = uri.expose_secret().trim();
        let (is_name, rest) = match uri.strip_prefix("mongodb+srv://") {
            Some(rest) => (true, rest),
            None => (
                false,
                uri.strip_prefix("mongodb://").ok_or(Malformed::Scheme)?,
            ),
        };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').ok_or(Malformed::Login)?;
        let (login, password) = login.split_once(':').ok_or(Malformed::Login)?;
        let (login, password) = (decoded(login)?, decoded(password)?);
        if login.is_empty() || password.is_empty() {
            return Err(Malformed::Login);
        }
        let place = place(hosts, is_name)?;
        let option = |name: &str| {
            let mut pairs = options.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| decoded(value)).transpose()
        };
        let auth_source = match option("authSource")? {
            Some(source) => source,
            None if database.is_empty() => "admin".to_owned(),
            None => decoded(database)?,
        };
        let says = |name: &str| Ok(option(name)?.is_some_and(|value| value == "true"));
        let any_certificate = says("tlsAllowInvalidCertificates")? || says("tlsInsecure")?;
        let is_silent = option("tls")?.is_none() && option("ssl")?.is_none();
        let is_encrypted = says("tls")? || says("ssl")? || (is_name && is_silent);
        let trust = match (is_encrypted, any_certificate) {
            (false, _) => None,
            (true, true) => Some(Trust::Anybody),
            (true, false) if says("tlsAllowInvalidHostnames")? => Some(Trust::Authority),
            (true, false) => Some(Trust::Host),
        };
        Ok(Self {
            login,
            password: password.into(),
            auth_source,
            place,
            trust,
        })
    }
}

fn place(hosts: &str, is_name: bool) -> Result<Place, Malformed> {
    if is_name {
        let is_plain = !hosts.is_empty() && !hosts.contains([',', ':']);
        let name = || Place::Name(hosts.to_lowercase());
        return is_plain.then(name).ok_or(Malformed::Srv);
    }
    let hosts = hosts.split(',').filter(|host| !host.is_empty());
    let hosts: Vec<_> = hosts.map(address).collect();
    if hosts.is_empty() {
        return Err(Malformed::Hosts);
    }
    Ok(Place::Hosts(hosts))
}

fn decoded(text: &str) -> Result<String, Malformed> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Malformed::Encoding)
}

fn address(host: &str) -> String {
    let host = host.to_lowercase();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        host
    } else {
        format!("{host}:27017")
    }
}

#[cfg(test)]
mod tests;
