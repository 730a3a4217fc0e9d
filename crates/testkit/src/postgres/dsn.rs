//! Connection strings for tests: each part encoded, always.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

/// All but the unreserved characters of RFC 3986.
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The parts of a `postgres://` URL.
#[derive(Debug, Clone)]
pub struct Dsn {
    host: String,
    port: u16,
    login: String,
    password: SecretString,
    database: String,
    parameters: Vec<(String, String)>,
}

impl Dsn {
    pub fn new(host: &str, port: u16, login: &str, password: SecretString) -> Self {
        Self {
            host: host.to_owned(),
            port,
            login: login.to_owned(),
            password,
            database: "postgres".to_owned(),
            parameters: Vec::new(),
        }
    }

    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    #[must_use]
    pub fn database(mut self, database: &str) -> Self {
        database.clone_into(&mut self.database);
        self
    }

    /// Adds a parameter such as `sslmode`.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn login(&self) -> &str {
        &self.login
    }

    pub fn password(&self) -> &SecretString {
        &self.password
    }

    pub fn url(&self) -> SecretString {
        let Self {
            host,
            port,
            login,
            password,
            database,
            parameters,
        } = self;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let mut url = format!(
            "postgres://{}:{}@{host}:{port}/{}",
            encode(login),
            encode(password.expose_secret()),
            encode(database)
        );
        for (index, (name, value)) in parameters.iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            url = format!("{url}{separator}{name}={}", encode(value));
        }
        SecretString::from(url)
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_encoded() {
        let dsn = Dsn::new("::1", 5432, "Clerk@x", SecretString::from("a/b"))
            .database("or ders")
            .parameter("sslmode", "verify-full");
        assert_eq!(
            dsn.url().expose_secret(),
            "postgres://Clerk%40x:a%2Fb@[::1]:5432/or%20ders?sslmode=verify-full"
        );
    }
}
