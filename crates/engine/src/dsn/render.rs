//! Writes a [`Dsn`] in the forms that clients read. Bytes are those of the original controller
//! where it was right (compatibility 3.1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::{Dsn, PartialDsn, mongo};
use crate::address::{Endpoint, Engine, Scheme};

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A value of the keyword form: backslash before white space, backslash and single quote.
fn keyword_value(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '\\' | '\'') {
            value.push('\\');
        }
        value.push(c);
    }
    value
}

/// A field of `.pgpass` (manual section 34.16): backslash before colon and backslash.
fn pgpass_field(text: &str) -> String {
    text.replace('\\', "\\\\").replace(':', "\\:")
}

impl PartialDsn {
    /// Login, hosts and database, as they may be stored where everybody reads them.
    pub(crate) fn without_password(&self) -> String {
        let scheme = self.scheme.unwrap_or_default();
        let hosts: Vec<_> = match scheme {
            Scheme::MongoSrv => self
                .endpoints
                .iter()
                .map(|(host, _)| host.clone())
                .collect(),
            _ => self
                .endpoints_of(scheme)
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        format!(
            "{}{}@{}/{}",
            match scheme.engine() {
                Engine::Postgres => "postgres://",
                Engine::Mongo => mongo::start(scheme),
            },
            self.user.as_deref().unwrap_or_default(),
            hosts.join(","),
            self.database.as_deref().unwrap_or_default(),
        )
    }
}

impl Dsn {
    /// `host= port= user= password= dbname= sslmode=`, then the other parameters. MongoDB has no
    /// such form: there it is the URI.
    pub fn keywords(&self) -> SecretString {
        if self.address.scheme.engine() == Engine::Mongo {
            return mongo::uri(self);
        }
        let list = |field: fn(&Endpoint) -> String| {
            self.address
                .endpoints()
                .map(field)
                .collect::<Vec<_>>()
                .join(",")
        };
        let mut text = format!(
            "host={} port={} user={} password={} dbname={} sslmode={}",
            keyword_value(&list(|endpoint| endpoint.host.clone())),
            list(|endpoint| endpoint.port.to_string()),
            keyword_value(self.credential.login.as_str()),
            keyword_value(self.credential.password.expose_secret()),
            keyword_value(self.database.as_str()),
            self.address.ssl_mode,
        );
        for (keyword, value) in &self.address.parameters {
            text.extend([" ", keyword, "=", &keyword_value(value)]);
        }
        text.into()
    }

    /// `postgres://login:password@host:port/database?sslmode=…`, or MongoDB's.
    pub fn uri(&self) -> SecretString {
        match self.address.scheme.engine() {
            Engine::Postgres => self.uri_to(&self.address.to_string()),
            Engine::Mongo => mongo::uri(self),
        }
    }

    /// The URI for readers: on Aurora the reader endpoint of the same cluster, else the writer.
    pub fn read_only_uri(&self) -> SecretString {
        self.uri_to(
            &self
                .address
                .to_string()
                .replacen(".cluster-", ".cluster-ro-", 1),
        )
    }

    fn uri_to(&self, hosts: &str) -> SecretString {
        format!(
            "postgres://{}:{}@{hosts}/{}?{}",
            encoded(self.credential.login.as_str()),
            encoded(self.credential.password.expose_secret()),
            encoded(self.database.as_str()),
            self.query(),
        )
        .into()
    }

    /// For pgjdbc, which knows several hosts. Who logs in is not in it.
    pub(crate) fn jdbc_url(&self) -> String {
        let database = encoded(self.database.as_str());
        format!(
            "jdbc:postgresql://{}/{database}?{}",
            self.address,
            self.query()
        )
    }

    /// The same with user and password, which pgjdbc reads as parameters.
    pub fn jdbc_uri(&self) -> SecretString {
        format!(
            "jdbc:postgresql://{}/{}?user={}&password={}&{}",
            self.address,
            encoded(self.database.as_str()),
            encoded(self.credential.login.as_str()),
            encoded(self.credential.password.expose_secret()),
            self.query(),
        )
        .into()
    }

    /// One line of `.pgpass` a host.
    pub fn pgpass(&self) -> SecretString {
        let line = |endpoint: &Endpoint| {
            format!(
                "{}:{}:{}:{}:{}",
                pgpass_field(&endpoint.host),
                endpoint.port,
                pgpass_field(self.database.as_str()),
                pgpass_field(self.credential.login.as_str()),
                pgpass_field(self.credential.password.expose_secret()),
            )
        };
        self.address
            .endpoints()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
            .into()
    }

    fn query(&self) -> String {
        let mut query = format!("sslmode={}", self.address.ssl_mode);
        for (keyword, value) in &self.address.parameters {
            query.extend(["&", &encoded(keyword), "=", &encoded(value)]);
        }
        query
    }
}
