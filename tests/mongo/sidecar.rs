//! A published Secret as a pod mounts it, and dbproxy beside it.

use std::sync::Arc;

use anyhow::Result;
use testkit::assets::programs::Program;
use testkit::process::{Process, ProcessBuilder, Workdir, with_free_ports};
use testkit::volume::Volume;

use crate::support::Stage;

pub(crate) struct Mounted {
    /// The Secret's name.
    pub(crate) secret: String,
    volume: Volume,
    workdir: Arc<Workdir>,
}

/// dbproxy on loopback.
pub(crate) struct Sidecar {
    pub(crate) process: Process,
    port: u16,
    health: String,
}

impl Mounted {
    pub(crate) async fn of(stage: &Stage, secret: &str) -> Result<Self> {
        let workdir = Workdir::new(secret)?;
        let mounted = Self {
            secret: secret.to_owned(),
            volume: Volume::at(workdir.join("secret"))?,
            workdir,
        };
        mounted.refresh(stage).await?;
        Ok(mounted)
    }

    /// Brings the Secret as it is now, as the kubelet does some time later.
    pub(crate) async fn refresh(&self, stage: &Stage) -> Result<()> {
        let secret = stage.secret(&self.secret).await?;
        let texts: Vec<_> = secret
            .iter()
            .map(|(key, text)| (key.as_str(), text.as_str()))
            .collect();
        self.volume.swap_all(&texts)
    }

    /// The file of a key.
    pub(crate) fn file(&self, key: &str) -> String {
        self.workdir.join("secret").join(key).display().to_string()
    }

    /// Serves clients when this returns.
    pub(crate) async fn sidecar(&self) -> Result<Sidecar> {
        let program = tokio::task::spawn_blocking(|| Program::Dbproxy.binary()).await??;
        let credential = self.file("uri_dsn.txt");
        with_free_ports(async |[port, health_port]: [u16; 2]| {
            let health = format!("127.0.0.1:{health_port}");
            let process = ProcessBuilder::new("dbproxy", &program)
                .env("DBPROXY_ENGINE", "mongodb")
                .env("DBPROXY_CREDENTIAL", &credential)
                .env("DBPROXY_PORT", port.to_string())
                .env("DBPROXY_HEALTH_PORT", health_port.to_string())
                .env("DBPROXY_LOG_LEVEL", "debug")
                .start(&self.workdir, async || {
                    testkit::http::is_ok(&health, "/readyz").await
                })
                .await?;
            Ok(Sidecar {
                process,
                port,
                health,
            })
        })
        .await
    }
}

impl Sidecar {
    /// All that an application needs.
    pub(crate) fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn metrics(&self) -> Result<String> {
        testkit::http::get(&self.health, "/metrics").await
    }
}
