//! The servers that tests share: given by a file, or started once per process.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::control_plane::{ClusterAccess, ControlPlane, ControlPlaneOptions};
use crate::postgres::{PostgresAccess, PostgresServer};
use crate::process::write_private;

/// Names the file in which `cargo xtask test` hands its servers on.
pub const ENV_VARIABLE: &str = "TESTBED_ENV";

/// Addresses and credentials of the shared servers, and the servers themselves if they are ours.
pub struct Servers {
    pub cluster: ClusterAccess,
    pub postgres: PostgresAccess,
    ours: Option<(ControlPlane, PostgresServer)>,
}

/// The env file's content; only its owner may read it.
#[derive(Serialize, Deserialize)]
struct EnvFile {
    url: String,
    ca: String,
    admin_token: String,
    postgres_port: u16,
    postgres_major: u32,
    postgres_password: String,
}

impl Servers {
    /// Starts a control plane with its controllers and a PostgreSQL server.
    pub async fn start() -> Result<Self> {
        let (control_plane, postgres) = tokio::try_join!(
            ControlPlane::start(ControlPlaneOptions::default()),
            PostgresServer::builder().start(),
        )?;
        Ok(Self {
            cluster: control_plane.access().clone(),
            postgres: postgres.access().clone(),
            ours: Some((control_plane, postgres)),
        })
    }

    /// Takes the servers that an env file names.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let EnvFile {
            url,
            ca,
            admin_token,
            postgres_port,
            postgres_major,
            postgres_password,
        } = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
        Ok(Self {
            cluster: ClusterAccess::new(url, ca, SecretString::from(admin_token)),
            postgres: PostgresAccess::new(
                postgres_port,
                postgres_major,
                SecretString::from(postgres_password),
            ),
            ours: None,
        })
    }

    /// Writes the file that [`from_file`](Self::from_file) reads.
    pub fn write_file(&self, path: &Path) -> Result<()> {
        let file = EnvFile {
            url: self.cluster.url().to_owned(),
            ca: self.cluster.ca().to_owned(),
            admin_token: self.cluster.admin_token().expose_secret().to_owned(),
            postgres_port: self.postgres.port(),
            postgres_major: self.postgres.major(),
            postgres_password: self
                .postgres
                .superuser_password()
                .expose_secret()
                .to_owned(),
        };
        write_private(path, &serde_json::to_string(&file)?)
    }

    /// Ends the servers that this value started.
    pub async fn stop(self) -> Result<()> {
        if let Some((control_plane, postgres)) = self.ours {
            control_plane.stop().await?;
            postgres.stop().await?;
        }
        Ok(())
    }
}

/// The servers of this process. They end with it, by their parent-death signal.
pub(super) async fn shared() -> Result<Arc<Servers>> {
    static SHARED: OnceCell<Arc<Servers>> = OnceCell::const_new();
    let servers = SHARED.get_or_try_init(async || {
        crate::install_crypto_provider();
        match std::env::var_os(ENV_VARIABLE) {
            Some(path) => Servers::from_file(Path::new(&path)).map(Arc::new),
            None => Servers::start().await.map(Arc::new),
        }
    });
    servers.await.cloned()
}
