//! Where commands go: reads the `dsn` of a destination, and opens connections. The one module that
//! makes connection options; they are never formatted, since the driver's `Debug` has the password.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use crate::dsn::{self, Options};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Dsn(#[from] dsn::Error),
    #[error("without {0}")]
    Missing(&'static str),
    #[error("with several hosts; give one")]
    SeveralHosts,
    #[error("with a port that is no number from 1 to 65535")]
    Port,
    #[error("with an unknown sslmode")]
    SslMode,
}

/// A DSN that names all that a login needs.
#[derive(Clone)]
pub struct Address(Options);

impl Address {
    pub fn parse(dsn: &SecretString) -> Result<Self, Error> {
        let mut options = dsn::parse(dsn.expose_secret())?;
        if let Some(address) = options.remove("hostaddr") {
            options.entry("host".to_owned()).or_insert(address);
        }
        let address = Self(options);
        for needed in ["host", "user"] {
            address.get(needed).ok_or(Error::Missing(needed))?;
        }
        if address.get("host").is_some_and(|host| host.contains(',')) {
            return Err(Error::SeveralHosts);
        }
        address.port()?;
        address.ssl_mode()?;
        Ok(address)
    }

    fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(|value| value.as_str())
    }

    fn port(&self) -> Result<u16, Error> {
        let Some(port) = self.get("port") else {
            return Ok(5432);
        };
        port.parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or(Error::Port)
    }

    fn ssl_mode(&self) -> Result<PgSslMode, Error> {
        let mode = self
            .get("sslmode")
            .map_or(Ok(PgSslMode::Prefer), str::parse);
        mode.map_err(|_| Error::SslMode)
    }

    /// The driver starts from libpq's environment variables, so all that names the server and the
    /// login is set. A client certificate and PGOPTIONS of the environment stay.
    fn options(&self) -> Result<PgConnectOptions, Error> {
        let user = self.get("user").unwrap_or_default();
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(self.get("host").unwrap_or_default())
            .port(self.port()?)
            .username(user)
            .password(self.get("password").unwrap_or_default())
            .database(self.get("dbname").unwrap_or(user))
            .ssl_mode(self.ssl_mode()?)
            .application_name(self.get("application_name").unwrap_or("dsnexec"))
            // Poolers refuse startup parameters that they do not know.
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        if let Some(file) = self.get("sslrootcert") {
            options = options.ssl_root_cert(file);
        }
        if let (Some(certificate), Some(key)) = (self.get("sslcert"), self.get("sslkey")) {
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        if let Some(path) = self.get("search_path") {
            options = options.options([("search_path", path)]);
        }
        Ok(options)
    }

    /// Logs in, however long that takes. The driver's error may quote the DSN's parts; callers show its kind only.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let options = self
            .options()
            .map_err(|err| sqlx::Error::Configuration(err.into()))?;
        options.connect().await
    }
}

/// A file that holds the DSN.
pub fn followed(dsn: &SecretString) -> Result<hotload::Source, hotload::SourceError> {
    hotload::Source::parse(dsn.expose_secret().trim(), &["postgres"])
}

/// `file:///path`, or `file://fprintf/path`; a path that begins with `/$tmp/` is a name in the
/// folder for temporary files.
pub fn file(dsn: &SecretString) -> Option<PathBuf> {
    let rest = dsn.expose_secret().trim().strip_prefix("file://")?;
    let path = rest.strip_prefix("fprintf").unwrap_or(rest);
    let path = match path.strip_prefix("/$tmp/") {
        Some(name) => std::env::temp_dir().join(PathBuf::from(name).file_name()?),
        None => PathBuf::from(path),
    };
    let is_file = path.is_absolute() && path.file_name().is_some();
    (is_file && !path.to_string_lossy().ends_with('/')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_71_a_file_is_named_by_a_uri() {
        let check = |dsn: &str, want: Option<&str>| {
            let want = want.map(PathBuf::from);
            assert_eq!(file(&SecretString::from(dsn)), want, "{dsn}");
        };
        check("file:///run/a.json", Some("/run/a.json"));
        check("file://fprintf/run/a.json", Some("/run/a.json"));
        check("file:////run/a.json", Some("//run/a.json"));
        let temporary = std::env::temp_dir().join("a");
        check("file:///$tmp/a", temporary.to_str());
        check("file:///$tmp/../../etc/a", temporary.to_str());
        for dsn in [
            "",
            "/run/a",
            "file://",
            "file:///",
            "file:///run/",
            "file://other/run/a",
        ] {
            check(dsn, None);
        }
    }

    #[test]
    fn an_address_says_what_a_login_needs() {
        let check = |dsn: &str, want: Result<(), Error>| {
            assert_eq!(
                Address::parse(&SecretString::from(dsn)).map(drop),
                want,
                "{dsn}"
            );
        };
        check("hostaddr=10.0.0.1 user=u", Ok(()));
        check("postgres://u@h", Ok(()));
        check("postgres://h/d", Err(Error::Missing("user")));
        check("user=u", Err(Error::Missing("host")));
        check("postgres://u@a,b/d", Err(Error::SeveralHosts));
        check("postgres://u@h:0/d", Err(Error::Port));
    }
}
