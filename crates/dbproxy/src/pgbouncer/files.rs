//! Writes PgBouncer's configuration: any user and any database of a client become the one login
//! and the one database of the DSN. One of the few places that see the password.
//!
//! There is one file, without `auth_file`: under `auth_type = any` PgBouncer takes a forced user's
//! password from the line in `[databases]` only. So the file is a secret. Whoever stores it does
//! so with mode 0600, in memory, and by renaming.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::dsn::{SslMode, Upstream};

/// When a server connection goes back to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum PoolMode {
    /// After each transaction, so that a new login is used from the next one on.
    #[default]
    Transaction,
    /// When the client leaves. After a switch, a client's connection is closed as soon as it has no
    /// transaction open, so that it connects again, as the new login.
    Session,
}

/// Addresses to listen on. Always loopback: clients need no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen(Vec<IpAddr>);

impl Listen {
    /// One of the addresses.
    pub(crate) fn first(&self) -> IpAddr {
        let first = self.0.first().copied();
        first.unwrap_or(Ipv4Addr::LOCALHOST.into())
    }
}

/// Refused, as everybody who reaches that address would have the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a loopback address; clients need no password, so listen on 127.0.0.1 or ::1")]
pub struct NotLoopback(IpAddr);

impl Default for Listen {
    fn default() -> Self {
        Self(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }
}

impl TryFrom<Vec<IpAddr>> for Listen {
    type Error = NotLoopback;

    fn try_from(addresses: Vec<IpAddr>) -> Result<Self, NotLoopback> {
        match addresses.iter().find(|address| !address.is_loopback()) {
            Some(address) => Err(NotLoopback(*address)),
            None => Ok(Self(addresses)),
        }
    }
}

/// The certificate that clients see.
#[derive(Debug, Clone)]
pub struct Tls {
    pub key: PathBuf,
    pub certificate: PathBuf,
}

/// Connections of dbproxy itself, which take no place of a client: probes and metrics, and two for
/// each pool at a switch.
const OWN_CLIENTS: u32 = 16;

/// All but the credential.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: Listen,
    pub port: u16,
    /// A folder for a unix socket; without one there is no socket.
    pub socket_dir: Option<PathBuf>,
    pub pool_mode: PoolMode,
    /// Connections to the server.
    pub pool_size: u32,
    /// Connections of clients.
    pub max_clients: u32,
    /// Prepared statements kept per server connection; none where PgBouncer has no such setting.
    pub max_prepared_statements: Option<u32>,
    pub client_tls: Option<Tls>,
    /// Who vouches for the server, for `verify-ca` and `verify-full`.
    pub server_ca: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            port: 5432,
            socket_dir: None,
            pool_mode: PoolMode::default(),
            pool_size: 20,
            max_clients: 100,
            max_prepared_statements: None,
            client_tls: None,
            server_ca: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the {part} has a control character, which PgBouncer's configuration can't hold")]
    Control { part: &'static str },
    #[error("the DSN says sslmode={0}, but there is no CA certificate to verify the server with")]
    NoCa(SslMode),
}

/// Renders `pgbouncer.ini`.
pub fn ini(upstream: &Upstream, settings: &Settings) -> Result<SecretString, Error> {
    let Settings {
        listen,
        port,
        socket_dir,
        pool_mode,
        pool_size,
        max_clients,
        max_prepared_statements,
        client_tls,
        server_ca,
    } = settings;
    let mut ini = Ini::default();
    ini.text.push_str("[databases]\n");
    ini.database(upstream)?;
    ini.text.push_str("\n[pgbouncer]\n");
    let addresses: Vec<String> = listen.0.iter().map(ToString::to_string).collect();
    ini.set("listen_addr", &addresses.join(","))?;
    ini.set("listen_port", &port.to_string())?;
    ini.set_path(
        "unix_socket_dir",
        socket_dir.as_deref().unwrap_or(Path::new("")),
    )?;
    ini.set("auth_type", "any")?;
    ini.set("pool_mode", &pool_mode.to_string())?;
    ini.set("default_pool_size", &pool_size.to_string())?;
    let clients = max_clients.saturating_add(OWN_CLIENTS);
    ini.set("max_client_conn", &clients.to_string())?;
    ini.set("ignore_startup_parameters", "extra_float_digits")?;
    match client_tls {
        None => ini.set("client_tls_sslmode", "disable")?,
        Some(Tls { key, certificate }) => {
            ini.set("client_tls_sslmode", "prefer")?;
            ini.set_path("client_tls_key_file", key)?;
            ini.set_path("client_tls_cert_file", certificate)?;
        }
    }
    ini.set("server_tls_sslmode", &upstream.ssl_mode.to_string())?;
    match (server_ca, upstream.ssl_mode) {
        (Some(ca), _) => ini.set_path("server_tls_ca_file", ca)?,
        (None, mode @ (SslMode::VerifyCa | SslMode::VerifyFull)) => return Err(Error::NoCa(mode)),
        (None, _) => {}
    }
    ini.set("server_reset_query", "DISCARD ALL")?;
    if *pool_mode == PoolMode::Session {
        ini.set("server_fast_close", "1")?;
    }
    if let Some(count) = max_prepared_statements {
        ini.set("max_prepared_statements", &count.to_string())?;
    }
    // A server that is back is used at once, and so is a new login after one that was broken off.
    ini.set("server_login_retry", "0.2")?;
    // Clients may connect for each query; figures are in the metrics.
    ini.set("log_connections", "0")?;
    ini.set("log_disconnections", "0")?;
    ini.set("log_stats", "0")?;
    Ok(ini.text.into())
}

#[derive(Default)]
struct Ini {
    text: String,
}

impl Ini {
    /// The line for every database, with the user that every client becomes.
    fn database(&mut self, upstream: &Upstream) -> Result<(), Error> {
        let Upstream {
            host,
            port,
            database,
            login,
            password,
            ssl_mode: _,
        } = upstream;
        self.text.push('*');
        self.text.push_str(" =");
        self.pair("host", host)?;
        self.pair("port", &port.to_string())?;
        self.pair("dbname", database)?;
        self.pair("user", login)?;
        if let Some(password) = password {
            self.pair("password", password.expose_secret())?;
        }
        self.text.push('\n');
        Ok(())
    }

    /// One pair of a connection string, always in quotes; a quote inside is doubled.
    fn pair(&mut self, key: &'static str, value: &str) -> Result<(), Error> {
        let value = single_line(key, value)?.replace('\'', "''");
        // Writing to a string does not fail.
        let _ = write!(self.text, " {key}='{value}'");
        Ok(())
    }

    fn set(&mut self, key: &'static str, value: &str) -> Result<(), Error> {
        let value = single_line(key, value)?;
        let _ = writeln!(self.text, "{}", format!("{key} = {value}").trim_end());
        Ok(())
    }

    fn set_path(&mut self, key: &'static str, path: &Path) -> Result<(), Error> {
        self.set(key, &path.to_string_lossy())
    }
}

/// A line's end would let a value write settings of its own.
fn single_line<'a>(part: &'static str, value: &'a str) -> Result<&'a str, Error> {
    if value.contains(char::is_control) {
        return Err(Error::Control { part });
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
