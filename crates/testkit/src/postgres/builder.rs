//! What kind of server to start.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret, SecretString};

use super::template::Template;
use super::{Launch, PostgresAccess, PostgresServer, SUPERUSER, execute};
use crate::assets::postgres::{DEFAULT_MAJOR, binaries};
use crate::names;
use crate::pki::Authority;
use crate::process::{Lifetime, RunAs, Workdir, with_free_ports};

/// Whether connections are encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tls {
    #[default]
    Off,
    Offered,
    Demanded,
}

/// Builder of a [`PostgresServer`].
#[derive(Debug, Clone)]
pub struct PostgresBuilder {
    major: u32,
    tls: Tls,
    is_durable: bool,
    settings: Vec<(String, String)>,
    lifetime: Lifetime,
    dir: Option<PathBuf>,
    address: Option<IpAddr>,
}

impl Default for PostgresBuilder {
    fn default() -> Self {
        Self {
            major: DEFAULT_MAJOR,
            tls: Tls::default(),
            is_durable: false,
            settings: Vec::new(),
            lifetime: Lifetime::default(),
            dir: None,
            address: None,
        }
    }
}

impl PostgresBuilder {
    #[must_use]
    pub fn major(mut self, major: u32) -> Self {
        self.major = major;
        self
    }

    /// Only TLS is accepted, under a certificate of a CA made for this server.
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.tls = Tls::Demanded;
        self
    }

    /// Plain connections are accepted as well, and are what DSNs ask for.
    #[must_use]
    pub fn offering_tls(mut self) -> Self {
        self.tls = Tls::Offered;
        self
    }

    /// Commits wait for the disk, as they do in production; without this nothing is synced.
    #[must_use]
    pub fn with_fsync(mut self) -> Self {
        self.is_durable = true;
        self
    }

    /// Every statement and every login goes to the log.
    #[must_use]
    pub fn log_statements(self) -> Self {
        self.setting("log_statement", "all")
            .setting("log_connections", "on")
            .setting("log_line_prefix", "%m [%p] %u@%d ")
    }

    /// The server keeps its log itself, in files of that format (`csvlog` or `jsonlog`) which SQL
    /// can reach; what it says elsewhere ends.
    #[must_use]
    pub fn log_to(self, format: &str) -> Self {
        self.setting("logging_collector", "on")
            .setting("log_destination", format)
    }

    /// A line of postgresql.conf; the last one of a name wins.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Keeps data and log in `dir`, which stays.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Listens on this address beside loopback, and names it in DSNs: pods reach no other.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    pub async fn start(self) -> Result<PostgresServer> {
        let workdir = match &self.dir {
            Some(dir) => Workdir::permanent(dir)?,
            None => Workdir::new(&format!("postgres-{}", self.major))?,
        };
        let (major, lifetime, address) = (self.major, self.lifetime, self.address);
        let place = Arc::clone(&workdir);
        let (launch, template_password, ca_file) =
            tokio::task::spawn_blocking(move || self.prepare(&place)).await??;
        let (process, access) = with_free_ports(async |[port]| {
            let access = PostgresAccess::new(port, major, template_password.clone())
                .with_host(address)
                .with_ca(ca_file.clone());
            let process = launch.start(&workdir, port, &access.superuser()).await?;
            Ok((process, access))
        })
        .await?;
        let password = names::random_password();
        set_password(&access, &password).await?;
        let access = PostgresAccess::new(access.port(), major, password)
            .with_host(address)
            .with_ca(ca_file);
        tracing::debug!(major, port = access.port(), ?lifetime, "PostgreSQL started");
        Ok(PostgresServer {
            access,
            process,
            launch,
            workdir,
        })
    }

    /// Lays out the data directory: the template's copy, settings, access rules, certificates.
    fn prepare(&self, workdir: &Workdir) -> Result<(Launch, SecretString, Option<PathBuf>)> {
        let account = RunAs::unprivileged()?;
        let binaries = binaries(self.major)?;
        let template = Template::of(&binaries)?;
        let data = workdir.join("data");
        template.copy_to(&data, account)?;
        let ca_file = match self.tls {
            Tls::Off => None,
            Tls::Offered => add_certificates(&data, workdir).map(|_| None)?,
            Tls::Demanded => Some(add_certificates(&data, workdir)?),
        };
        self.write_config(&data)?;
        if let Some(account) = account {
            account.own(&data)?;
        }
        let program = binaries.join("postgres");
        let launch = Launch {
            program,
            data,
            account,
            lifetime: self.lifetime,
        };
        Ok((launch, template.password, ca_file))
    }

    fn write_config(&self, data: &Path) -> Result<()> {
        let durable = if self.is_durable { "on" } else { "off" };
        let tls = if self.tls == Tls::Off { "off" } else { "on" };
        let loopback = "127.0.0.1,::1".to_owned();
        let addresses = match self.address {
            Some(address) => format!("{loopback},{address}"),
            None => loopback,
        };
        let mut lines = vec![
            ("listen_addresses".to_owned(), addresses),
            ("unix_socket_directories".to_owned(), String::new()),
            ("max_connections".to_owned(), "300".to_owned()),
            ("password_encryption".to_owned(), "scram-sha-256".to_owned()),
            ("fsync".to_owned(), durable.to_owned()),
            ("full_page_writes".to_owned(), durable.to_owned()),
            ("synchronous_commit".to_owned(), durable.to_owned()),
            ("ssl".to_owned(), tls.to_owned()),
        ];
        lines.extend(self.settings.iter().cloned());
        let mut config = OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))
            .context("the template has no postgresql.conf")?;
        for (name, value) in lines {
            writeln!(config, "{name} = '{}'", value.replace('\'', "''"))?;
        }
        let connection = if self.tls == Tls::Demanded {
            "hostssl"
        } else {
            "host"
        };
        fs::write(
            data.join("pg_hba.conf"),
            format!("{connection} all all all scram-sha-256\n"),
        )?;
        Ok(())
    }
}

/// Returns the file with the CA's certificate.
fn add_certificates(data: &Path, workdir: &Workdir) -> Result<PathBuf> {
    let authority = Authority::new("testkit PostgreSQL")?;
    let leaf = authority.issue(&[])?;
    crate::process::write_private(&data.join("server.crt"), &leaf.certificate)?;
    crate::process::write_private(&data.join("server.key"), &leaf.key)?;
    let ca_file = workdir.join("ca.crt");
    fs::write(&ca_file, authority.pem())?;
    Ok(ca_file)
}

async fn set_password(access: &PostgresAccess, password: &SecretString) -> Result<()> {
    let verifier = scram_sha_256(password.expose_secret().as_bytes());
    let sql = format!("ALTER ROLE {SUPERUSER} PASSWORD '{verifier}'");
    execute(&access.superuser().url(), &sql).await
}
