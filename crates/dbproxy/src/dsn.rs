//! Reads the DSN of the Secret, in the URI or the keyword form of libpq (manual section 34.1.1), as
//! far as PgBouncer can use it. Errors never quote the text: it holds a password.
//!
//! Deliberately strict: whatever is missing or would be understood differently by PgBouncer than by
//! libpq is refused, and the credential in use stays.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

/// How the connection to the server is encrypted and proved; names as in libpq and in PgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Where to connect to and as whom.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// A name, an address without brackets, or the folder of a socket.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub login: String,
    pub password: Option<SecretString>,
    pub ssl_mode: SslMode,
}

/// Equal if nothing would change for the server.
impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            host,
            port,
            database,
            login,
            password,
            ssl_mode,
        } = self;
        (host, port, database, login, ssl_mode)
            == (
                &other.host,
                &other.port,
                &other.database,
                &other.login,
                &other.ssl_mode,
            )
            && plain(password.as_ref()) == plain(other.password.as_ref())
    }
}

fn plain(password: Option<&SecretString>) -> Option<&str> {
    password.map(SecretString::expose_secret)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the DSN is neither a postgres:// URI nor a list of key=value pairs")]
    UnknownForm,
    #[error("the DSN's {part} is not valid percent-encoded text")]
    Encoding { part: &'static str },
    #[error("the DSN has an @ behind its host; percent-encode /, ? and @ in login and password")]
    Reserved,
    #[error("the DSN has an unfinished quote or bracket")]
    Unfinished,
    #[error("the DSN has no {part}")]
    Missing { part: &'static str },
    #[error("the DSN names several hosts; PgBouncer would take turns among them: give one")]
    SeveralHosts,
    #[error("the DSN's port is not a number from 1 to 65535")]
    Port,
    #[error(
        "the DSN's sslmode is unknown; use disable, allow, prefer, require, verify-ca or verify-full"
    )]
    SslMode,
    #[error("the DSN's {part} has a control character, which PgBouncer's configuration can't hold")]
    Control { part: &'static str },
}

/// What stands in a DSN, by libpq's keywords.
type Parts = BTreeMap<String, String>;

impl Upstream {
    /// Reads either form; white space at its ends does not count.
    pub fn parse(text: &SecretString) -> Result<Self, Error> {
        let text = text.expose_secret().trim();
        let uri = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let parts = match uri {
            Some(rest) => uri_parts(rest)?,
            None => keyword_parts(text)?,
        };
        Self::from_parts(parts)
    }

    fn from_parts(mut parts: Parts) -> Result<Self, Error> {
        let mut take = |part: &'static str| {
            let value = parts.remove(part).filter(|value| !value.is_empty());
            match value {
                Some(value) if value.contains(char::is_control) => Err(Error::Control { part }),
                value => Ok(value),
            }
        };
        let host = match take("host")? {
            Some(host) => Some(host),
            None => take("hostaddr")?,
        };
        let host = host.ok_or(Error::Missing { part: "host" })?;
        if host.contains(',') {
            return Err(Error::SeveralHosts);
        }
        let login = take("user")?.ok_or(Error::Missing { part: "user" })?;
        let ssl_mode = take("sslmode")?.map_or(Ok(SslMode::Prefer), |mode| mode.parse());
        Ok(Self {
            host,
            port: take("port")?.map_or(Ok(5432), |port| port_number(&port))?,
            database: take("dbname")?.unwrap_or_else(|| login.clone()),
            login,
            password: take("password")?.map(SecretString::from),
            ssl_mode: ssl_mode.map_err(|_| Error::SslMode)?,
        })
    }
}

fn port_number(text: &str) -> Result<u16, Error> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Error::Port),
    }
}

/// Behind the scheme: `user:password@host:port/database?keyword=value&…`.
fn uri_parts(rest: &str) -> Result<Parts, Error> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    // A raw / or ? in the password would make a host of its first half.
    if database.contains('@') || query.contains('@') {
        return Err(Error::Reserved);
    }
    let (login, location) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    if location.contains(',') {
        return Err(Error::SeveralHosts);
    }
    let (host, port) = match location.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']').ok_or(Error::Unfinished)?;
            (host, tail.strip_prefix(':').unwrap_or(tail))
        }
        None => location.split_once(':').unwrap_or((location, "")),
    };
    let mut parts = Parts::new();
    for (keyword, value) in [
        ("user", user),
        ("password", password),
        ("host", host),
        ("port", port),
        ("dbname", database),
    ] {
        parts.insert(keyword.to_owned(), decoded(keyword, value)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) = pair.split_once('=').ok_or(Error::UnknownForm)?;
        let keyword = decoded("parameters", keyword)?;
        parts.insert(keyword, decoded("parameters", value)?);
    }
    Ok(parts)
}

fn decoded(part: &'static str, text: &str) -> Result<String, Error> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| Error::Encoding { part })
}

/// `keyword = value …`, values plain or in single quotes, with backslash escapes.
fn keyword_parts(text: &str) -> Result<Parts, Error> {
    let mut parts = Parts::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (keyword, tail) = rest.split_once('=').ok_or(Error::UnknownForm)?;
        let keyword = keyword.trim();
        let is_word = |keyword: &str| {
            keyword
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if keyword.is_empty() || !is_word(keyword) {
            return Err(Error::UnknownForm);
        }
        let (value, tail) = keyword_value(tail.trim_start())?;
        parts.insert(keyword.to_owned(), value);
        rest = tail.trim_start();
    }
    if parts.is_empty() {
        return Err(Error::UnknownForm);
    }
    Ok(parts)
}

/// One value, and what follows it.
fn keyword_value(text: &str) -> Result<(String, &str), Error> {
    let (quoted, text) = match text.strip_prefix('\'') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value = String::new();
    let mut rest = text.chars();
    loop {
        let before = rest.as_str();
        match rest.next() {
            Some('\\') => value.extend(rest.next()),
            Some('\'') if quoted => return Ok((value, rest.as_str())),
            Some(c) if !quoted && c.is_whitespace() => return Ok((value, before)),
            Some(c) => value.push(c),
            None if quoted => return Err(Error::Unfinished),
            None => return Ok((value, before)),
        }
    }
}

#[cfg(test)]
mod tests;
