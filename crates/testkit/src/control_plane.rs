//! etcd, kube-apiserver and kube-controller-manager: a Kubernetes without nodes.
//!
//! Requests are authenticated by tokens and authorised by RBAC, so a missing verb fails a test.
//! Without the controller manager owners are not collected, namespaces never finish and
//! ServiceAccounts do not appear by themselves: wait for none of these then.

mod access;
mod audit;
mod chart;
mod components;
mod crds;
mod objects;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use secrecy::SecretString;

pub use access::{ClusterAccess, client_of};
pub use audit::Request;
pub use chart::InstalledChart;
use components::{ApiServer, Keys};

use crate::assets::control_plane::{Binaries, binaries};
use crate::process::{Lifetime, Process, Workdir};
use crate::wait::wait_for;

/// The one node whose kubelet may come.
pub(crate) const NODE: &str = "node1";

/// Whether kube-controller-manager runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Controllers {
    #[default]
    Running,
    None,
}

/// Whether kube-apiserver records each request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Audit {
    #[default]
    Off,
    /// Who asked for what and the answer's code, without bodies.
    Metadata,
}

/// What to start. Take the default and change what matters.
#[derive(Debug, Default)]
pub struct ControlPlaneOptions {
    pub controllers: Controllers,
    pub audit: Audit,
    pub lifetime: Lifetime,
    /// Where state and logs go; `None` for a temporary directory.
    pub dir: Option<PathBuf>,
}

/// A running control plane. It derefs to its [`ClusterAccess`].
pub struct ControlPlane {
    access: ClusterAccess,
    node_token: SecretString,
    // Clients before the servers that they use: fields are dropped in this order.
    controller_manager: Option<Process>,
    apiserver: ApiServer,
    etcd: Process,
    workdir: Arc<Workdir>,
}

impl ControlPlane {
    pub async fn start(options: ControlPlaneOptions) -> Result<Self> {
        crate::install_crypto_provider();
        let ControlPlaneOptions {
            controllers,
            audit,
            lifetime,
            dir,
        } = options;
        let workdir = match dir {
            Some(dir) => Workdir::permanent(&dir)?,
            None => Workdir::new("control-plane")?,
        };
        let Binaries {
            etcd,
            apiserver,
            controller_manager,
            scheduler: _,
            kubelet: _,
        } = tokio::task::spawn_blocking(binaries).await??;
        let keys = Keys::generate(&workdir)?;
        let (etcd, etcd_url) = components::start_etcd(&etcd, &workdir, lifetime).await?;
        let apiserver =
            ApiServer::start(apiserver, &workdir, &keys, etcd_url, audit, lifetime).await?;
        let access = keys.access(apiserver.port());
        workdir.write("kubeconfig", &access.admin_kubeconfig()?)?;
        let controller_manager = match controllers {
            Controllers::None => None,
            Controllers::Running => Some(
                components::start_controller_manager(&controller_manager, &workdir, lifetime)
                    .await?,
            ),
        };
        let control_plane = Self {
            access,
            node_token: keys.node_token().clone(),
            controller_manager,
            apiserver,
            etcd,
            workdir,
        };
        control_plane.namespaces_are_served().await?;
        Ok(control_plane)
    }

    pub fn access(&self) -> &ClusterAccess {
        &self.access
    }

    /// The admin's kubeconfig as a file.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.workdir.join("kubeconfig")
    }

    /// The kubeconfig of the kubelet of the node called [`NODE`].
    pub(crate) fn node_kubeconfig(&self) -> Result<String> {
        self.access.kubeconfig(&self.node_token)
    }

    /// Stops kube-apiserver; connections break, the data stays.
    pub async fn stop_apiserver(&self) -> Result<()> {
        self.apiserver.process().stop().await.map(drop)
    }

    /// Starts kube-apiserver again, on the same port.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        self.apiserver.start_again(&self.workdir).await
    }

    /// The process itself, for freezing and killing.
    pub fn apiserver(&self) -> &Process {
        self.apiserver.process()
    }

    /// The requests that kube-apiserver has recorded so far; needs [`Audit::Metadata`].
    pub fn requests(&self) -> Result<Vec<Request>> {
        audit::read(&self.workdir.join(audit::LOG))
    }

    /// All processes, clients before the servers that they use.
    pub fn processes(&self) -> Vec<&Process> {
        let Self {
            access: _,
            node_token: _,
            controller_manager,
            apiserver,
            etcd,
            workdir: _,
        } = self;
        controller_manager
            .iter()
            .chain([apiserver.process(), etcd])
            .collect()
    }

    /// Ends everything in order.
    pub async fn stop(self) -> Result<()> {
        let Self {
            access: _,
            node_token: _,
            controller_manager,
            apiserver,
            etcd,
            workdir: _,
        } = self;
        if let Some(process) = controller_manager {
            process.stop().await?;
        }
        apiserver.process().stop().await?;
        etcd.stop().await?;
        Ok(())
    }

    /// The API server is ready before it has made the namespace `default`.
    async fn namespaces_are_served(&self) -> Result<()> {
        use k8s_openapi::api::core::v1::Namespace;

        let namespaces = kube::Api::<Namespace>::all(self.client().await?);
        wait_for("the namespace default", async || {
            namespaces.get_opt("default").await.context("get namespace")
        })
        .await
        .map(drop)
    }
}

impl std::ops::Deref for ControlPlane {
    type Target = ClusterAccess;

    fn deref(&self) -> &ClusterAccess {
        &self.access
    }
}
