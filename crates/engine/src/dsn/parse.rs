//! Reads a connection string of which any part may be missing; what is missing is somebody
//! else's to complete. Errors never quote the string: it may hold a password.

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::mongo;
use crate::address::{Endpoint, Scheme, SslMode, parse_port};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the DSN is empty")]
    Empty,
    #[error("the DSN is neither a postgres:// or mongodb:// URI nor a list of key=value pairs")]
    UnknownForm,
    #[error("the DSN's {part} is not valid percent-encoded text")]
    Encoding { part: &'static str },
    #[error("the DSN has an unfinished quote")]
    UnfinishedQuote,
    #[error(
        "a parameter of the DSN has no valid name; quote values that hold spaces, and \
         percent-encode = and & in a URI"
    )]
    Keyword,
    #[error(
        "the DSN's sslmode is unknown; use disable, allow, prefer, require, verify-ca or verify-full"
    )]
    SslMode,
    #[error("the DSN names {hosts} hosts and {ports} ports; give one port, or one for each host")]
    PortCount { hosts: usize, ports: usize },
    #[error("the DSN names {0} hosts; at most {MAX_HOSTS} are tried, so name the ones that matter")]
    TooManyHosts(usize),
    #[error("a host of the DSN has an unfinished IPv6 bracket")]
    Bracket,
    #[error("a port of the DSN is not a number from 1 to 65535")]
    Port,
    #[error("the DSN has an @ behind its host; percent-encode /, ? and @ in login and password")]
    Reserved,
    #[error("a mongodb+srv URI has one host name and no port; its DNS records say the rest")]
    SrvHost,
    #[error("the DSN's {option} must be true or false")]
    Boolean { option: &'static str },
}

/// More members than a server has.
const MAX_HOSTS: usize = 16;

/// What a connection string said, and nothing that it did not.
#[derive(Debug, Clone, Default)]
pub struct PartialDsn {
    /// `None` where nothing said it, not even a keyword form, which is PostgreSQL's.
    pub scheme: Option<Scheme>,
    /// Hosts without brackets, each with its port where one was given.
    pub endpoints: Vec<(String, Option<u16>)>,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    pub database: Option<String>,
    pub ssl_mode: Option<SslMode>,
    /// Everything else, in its order.
    pub parameters: Vec<(String, String)>,
}

/// How URIs begin, and what that says.
const SCHEMES: [(&str, Scheme); 4] = [
    ("postgres://", Scheme::Postgres),
    ("postgresql://", Scheme::Postgres),
    ("mongodb://", Scheme::Mongo),
    ("mongodb+srv://", Scheme::MongoSrv),
];

/// Parameters that name a file of the reader's own file system, or a secret: never passed on.
const LOCAL_PARAMETERS: [&str; 13] = [
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "passfile",
    "service",
    "servicefile",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
];

impl PartialDsn {
    /// Reads either form; surrounding white space (a trailing newline) is ignored.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        let uri = SCHEMES
            .into_iter()
            .find_map(|(start, scheme)| Some((text.strip_prefix(start)?, scheme)));
        let mut dsn = match (uri, text.split_once('=')) {
            (Some((rest, Scheme::Postgres)), _) => parse_uri(rest, PartialDsn::set_all)?,
            (Some((rest, scheme)), _) => {
                mongo::completed(parse_uri(rest, mongo::set_all)?, scheme)?
            }
            // A password may hold `://`; only what stands where a keyword belongs tells the form.
            (None, Some((keyword, _))) if !keyword.contains("://") => parse_keywords(text)?,
            _ => return Err(Error::UnknownForm),
        };
        dsn.scheme = Some(uri.map_or(Scheme::Postgres, |(_, scheme)| scheme));
        let hosts = dsn.endpoints.len();
        if hosts > MAX_HOSTS {
            return Err(Error::TooManyHosts(hosts));
        }
        Ok(dsn)
    }

    /// The endpoints with the scheme's default port where none was given.
    pub fn endpoints_of(&self, scheme: Scheme) -> Vec<Endpoint> {
        self.endpoints
            .iter()
            .map(|(host, port)| Endpoint {
                host: host.clone(),
                port: port.unwrap_or(scheme.default_port()),
            })
            .collect()
    }

    /// The parameters of a URI.
    fn set_all(&mut self, pairs: Vec<(String, String)>) -> Result<(), Error> {
        let (mut host, mut port) = (String::new(), String::new());
        for (keyword, value) in pairs {
            match keyword.as_str() {
                "host" => host = value,
                "port" => port = value,
                keyword => self.set(keyword, value)?,
            }
        }
        if !host.is_empty() && self.endpoints.is_empty() {
            self.set_hosts(&host, &port)?;
        }
        Ok(())
    }

    fn set(&mut self, keyword: &str, value: String) -> Result<(), Error> {
        match keyword {
            "user" => self.user = non_empty(value),
            "password" => self.password = non_empty(value).map(SecretString::from),
            "dbname" => self.database = non_empty(value),
            "sslmode" => {
                self.ssl_mode = Some(value.parse().map_err(|_| Error::SslMode)?);
            }
            local if LOCAL_PARAMETERS.contains(&local) => {}
            // Half a password, where a value with a space has no quotes around it.
            other if other.is_empty() || !other.chars().all(is_of_keyword) => {
                return Err(Error::Keyword);
            }
            other => self.parameters.push((other.to_owned(), value)),
        }
        Ok(())
    }

    fn set_hosts(&mut self, hosts: &str, ports: &str) -> Result<(), Error> {
        let hosts: Vec<&str> = hosts.split(',').collect();
        let ports: Vec<&str> = if ports.is_empty() {
            vec![]
        } else {
            ports.split(',').collect()
        };
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err(Error::PortCount {
                hosts: hosts.len(),
                ports: ports.len(),
            });
        }
        for (index, host) in hosts.iter().enumerate() {
            let port = ports
                .get(index)
                .or(ports.first())
                .map(|port| parse_port(port).map_err(|_| Error::Port))
                .transpose()?;
            self.endpoints.push((unbracketed(host).to_owned(), port));
        }
        Ok(())
    }
}

fn is_of_keyword(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.[]".contains(c)
}

fn non_empty(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
}

fn decoded(part: &'static str, text: &str) -> Result<String, Error> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Error::Encoding { part })
}

/// Reads what the URIs of all engines share; `set_all` takes the decoded parameters.
fn parse_uri(
    rest: &str,
    set_all: impl FnOnce(&mut PartialDsn, Vec<(String, String)>) -> Result<(), Error>,
) -> Result<PartialDsn, Error> {
    let mut dsn = PartialDsn::default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // A raw / or ? in the password would make a host of its first half, and a port of its second.
    if path.contains('@') || query.contains('@') {
        return Err(Error::Reserved);
    }
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    dsn.user = non_empty(decoded("user", user)?);
    dsn.password = non_empty(decoded("password", password)?).map(SecretString::from);
    dsn.database = non_empty(decoded("database", path)?);
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        dsn.endpoints.push(parse_uri_host(host)?);
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (keyword, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded("parameters", value)?;
        Ok((decoded("parameters", keyword)?, value))
    });
    let pairs = pairs.collect::<Result<Vec<_>, Error>>()?;
    set_all(&mut dsn, pairs)?;
    Ok(dsn)
}

/// One member, as it stands in a URI.
pub(crate) fn endpoint(text: &str, default_port: u16) -> Result<Endpoint, Error> {
    let (host, port) = parse_uri_host(text)?;
    let port = port.unwrap_or(default_port);
    Ok(Endpoint { host, port })
}

fn parse_uri_host(text: &str) -> Result<(String, Option<u16>), Error> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']').ok_or(Error::Bracket)?;
            (host, tail.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port
        .filter(|port| !port.is_empty())
        .map(|port| parse_port(port).map_err(|_| Error::Port))
        .transpose()?;
    Ok((decoded("host", host)?, port))
}

fn parse_keywords(text: &str) -> Result<PartialDsn, Error> {
    let mut dsn = PartialDsn::default();
    let (mut hosts, mut ports) = (String::new(), String::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (keyword, tail) = rest.split_once('=').ok_or(Error::UnknownForm)?;
        let (value, tail) = parse_value(tail.trim_start())?;
        match keyword.trim() {
            "host" | "hostaddr" if hosts.is_empty() => hosts = value,
            "hostaddr" => {}
            "port" => ports = value,
            keyword => dsn.set(keyword, value)?,
        }
        rest = tail.trim_start();
    }
    if !hosts.is_empty() {
        dsn.set_hosts(&hosts, &ports)?;
    }
    Ok(dsn)
}

/// One value, plain or in single quotes, with backslash escapes; returns it and what follows.
fn parse_value(text: &str) -> Result<(String, &str), Error> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                if let Some((_, escaped)) = chars.next() {
                    value.push(escaped);
                }
            }
            '\'' if quoted => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            c if !quoted && c.is_whitespace() => {
                return Ok((value, text.get(at..).unwrap_or_default()));
            }
            c => value.push(c),
        }
    }
    if quoted {
        return Err(Error::UnfinishedQuote);
    }
    Ok((value, ""))
}
