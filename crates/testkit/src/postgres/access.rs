//! How to reach a server as its superuser, and how to make lesser logins and databases.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret, SecretString};

use super::{Dsn, SUPERUSER, execute};
use crate::assets::documented;
use crate::names;

/// Address and superuser password of a server.
#[derive(Debug, Clone)]
pub struct PostgresAccess {
    host: String,
    port: u16,
    major: u32,
    superuser_password: SecretString,
    ca_file: Option<PathBuf>,
}

/// A login that manages others without being a superuser.
#[derive(Debug, Clone)]
pub struct Admin {
    pub dsn: Dsn,
}

impl PostgresAccess {
    pub(crate) fn new(port: u16, major: u32, superuser_password: SecretString) -> Self {
        Self {
            host: "localhost".to_owned(),
            port,
            major,
            superuser_password,
            ca_file: None,
        }
    }

    pub(crate) fn with_host(self, host: Option<IpAddr>) -> Self {
        Self {
            host: host.map_or(self.host, |host| host.to_string()),
            ..self
        }
    }

    pub(crate) fn with_ca(self, ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, ..self }
    }

    /// The host that DSNs name.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn major(&self) -> u32 {
        self.major
    }

    pub fn superuser_password(&self) -> &SecretString {
        &self.superuser_password
    }

    /// The CA of the server's certificate as a PEM file, where the server speaks TLS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The superuser's DSN for the database `postgres`.
    pub fn superuser(&self) -> Dsn {
        self.dsn(SUPERUSER, self.superuser_password.clone())
    }

    /// A DSN for any login; with TLS it verifies the server.
    pub fn dsn(&self, login: &str, password: SecretString) -> Dsn {
        let dsn = Dsn::new(&self.host, self.port, login, password);
        match &self.ca_file {
            None => dsn.parameter("sslmode", "disable"),
            Some(ca) => dsn
                .parameter("sslmode", "verify-full")
                .parameter("sslrootcert", &ca.to_string_lossy()),
        }
    }

    /// Makes a login with CREATEROLE and CREATEDB, no superuser, under a random name.
    pub async fn create_owner_admin(&self) -> Result<Admin> {
        let name = format!("admin_{}", names::random(8));
        Ok(Admin {
            dsn: self.create_login(&name, "CREATEROLE CREATEDB").await?,
        })
    }

    /// Makes a login with a random password. `attributes` are those of CREATE ROLE.
    pub async fn create_login(&self, name: &str, attributes: &str) -> Result<Dsn> {
        let password = names::random_password();
        let verifier = scram_sha_256(password.expose_secret().as_bytes());
        let sql = format!(
            "CREATE ROLE {} LOGIN {attributes} PASSWORD '{verifier}'",
            quote(name)
        );
        execute(&self.superuser().url(), &sql)
            .await
            .with_context(|| format!("cannot create login {name}"))?;
        Ok(self.dsn(name, password))
    }

    /// Lets an admin read of refused logins, as the operations guide says.
    pub async fn let_read_refusals(&self, admin: &str) -> Result<()> {
        let guide = documented("docs/operations.md", "sql", "refused_logins")?;
        let sql = guide.replace("TO dbadmin", &format!("TO {}", quote(admin)));
        execute(&self.superuser().url(), &sql).await
    }

    /// Makes a database that belongs to `owner`, an existing role.
    pub async fn create_database(&self, name: &str, owner: &str) -> Result<()> {
        let sql = format!("CREATE DATABASE {} OWNER {}", quote(name), quote(owner));
        execute(&self.superuser().url(), &sql).await
    }

    /// Ends all sessions of a database and drops it.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name));
        execute(&self.superuser().url(), &sql).await
    }
}

/// An identifier in double quotes.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
