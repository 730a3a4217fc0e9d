//! The flags of each component, and the keys that they share.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::GetParams;
use secrecy::{ExposeSecret, SecretString};

use super::{Audit, ClusterAccess, NODE, audit};
use crate::assets::control_plane::Component;
use crate::pki::Authority;
use crate::process::{Lifetime, Process, ProcessBuilder, Workdir, with_free_ports};
use crate::{http, names};

/// How long one readiness request may take; the next follows at once.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// kube-apiserver would wait a minute for watches to end; its state is in etcd, so it need not.
const DRAIN: Duration = Duration::from_millis(500);

/// Certificates and tokens, also written to files for the components.
pub(super) struct Keys {
    ca: String,
    admin_token: SecretString,
    node_token: SecretString,
}

impl Keys {
    pub(super) fn generate(workdir: &Workdir) -> Result<Self> {
        let authority = Authority::new("testkit control plane")?;
        let leaf = authority.issue(&["kubernetes", "kubernetes.default.svc"])?;
        let accounts = rcgen::KeyPair::generate().context("cannot make a key")?;
        let admin_token = names::random_password();
        let node_token = names::random_password();
        let tokens = format!(
            "{},admin,admin,\"system:masters\"\n{},system:node:{NODE},{NODE},\"system:nodes\"\n",
            admin_token.expose_secret(),
            node_token.expose_secret(),
        );
        workdir.write("ca.crt", &authority.pem())?;
        workdir.write("apiserver.crt", &leaf.certificate)?;
        workdir.write("apiserver.key", &leaf.key)?;
        workdir.write("service-account.key", &accounts.serialize_pem())?;
        workdir.write("service-account.pub", &accounts.public_key_pem())?;
        workdir.write("tokens.csv", &tokens)?;
        workdir.write("audit-policy.yaml", audit::POLICY)?;
        Ok(Self {
            ca: authority.pem(),
            admin_token,
            node_token,
        })
    }

    pub(super) fn node_token(&self) -> &SecretString {
        &self.node_token
    }

    pub(super) fn access(&self, port: u16) -> ClusterAccess {
        let url = format!("https://127.0.0.1:{port}");
        ClusterAccess::new(url, self.ca.clone(), self.admin_token.clone())
    }
}

/// Starts etcd and returns its URL. Nothing is synced to disk: the data dies with the test.
pub(super) async fn start_etcd(
    component: &Component,
    workdir: &Arc<Workdir>,
    lifetime: Lifetime,
) -> Result<(Process, String)> {
    with_free_ports(async |[client, peer]| {
        let url = format!("http://127.0.0.1:{client}");
        let process = component
            .builder()
            .lifetime(lifetime)
            .args([
                "--name=default",
                "--data-dir=etcd",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ])
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
            .arg(format!(
                "--initial-advertise-peer-urls=http://127.0.0.1:{peer}"
            ))
            .arg(format!("--initial-cluster=default=http://127.0.0.1:{peer}"))
            .start(workdir, async || {
                http::is_ok(&format!("127.0.0.1:{client}"), "/health").await
            })
            .await?;
        Ok((process, url))
    })
    .await
}

/// kube-apiserver with all that is needed to start it again on the same port.
pub(super) struct ApiServer {
    component: Component,
    etcd_url: String,
    audit: Audit,
    lifetime: Lifetime,
    access: ClusterAccess,
    port: u16,
    process: Process,
}

impl ApiServer {
    pub(super) async fn start(
        component: Component,
        workdir: &Arc<Workdir>,
        keys: &Keys,
        etcd_url: String,
        audit: Audit,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let (process, port, access) = with_free_ports(async |[port]| {
            let access = keys.access(port);
            let builder = api_server(&component, &etcd_url, audit, port).lifetime(lifetime);
            let process = start_ready(builder, workdir, &access).await?;
            Ok((process, port, access))
        })
        .await?;
        Ok(Self {
            component,
            etcd_url,
            audit,
            lifetime,
            access,
            port,
            process,
        })
    }

    pub(super) async fn start_again(&mut self, workdir: &Arc<Workdir>) -> Result<()> {
        anyhow::ensure!(
            !self.process.is_running(),
            "kube-apiserver is still running"
        );
        let builder = api_server(&self.component, &self.etcd_url, self.audit, self.port)
            .lifetime(self.lifetime);
        self.process = start_ready(builder, workdir, &self.access).await?;
        Ok(())
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }
}

fn api_server(component: &Component, etcd_url: &str, audit: Audit, port: u16) -> ProcessBuilder {
    let builder = component
        .builder()
        .arg(format!("--etcd-servers={etcd_url}"))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .arg(format!("--secure-port={port}"))
        .args([
            "--tls-cert-file=apiserver.crt",
            "--tls-private-key-file=apiserver.key",
        ])
        .args([
            "--token-auth-file=tokens.csv",
            "--authorization-mode=Node,RBAC",
        ])
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        .args(["--service-account-key-file=service-account.pub"])
        .args(["--service-account-signing-key-file=service-account.key"])
        .args([
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
        ])
        .stop_deadline(DRAIN);
    match audit {
        Audit::Off => builder,
        Audit::Metadata => builder
            .arg("--audit-policy-file=audit-policy.yaml")
            .arg(format!("--audit-log-path={}", audit::LOG)),
    }
}

async fn start_ready(
    builder: ProcessBuilder,
    workdir: &Arc<Workdir>,
    access: &ClusterAccess,
) -> Result<Process> {
    let client = access.client().await?;
    let is_ready = async || {
        let path = kube::core::Request::new("").get("readyz", &GetParams::default());
        let Ok(request) = path else { return false };
        let answer = tokio::time::timeout(PROBE_TIMEOUT, client.request_text(request)).await;
        matches!(answer, Ok(Ok(_)))
    };
    builder.start(workdir, is_ready).await
}

/// Every controller runs under its own ServiceAccount, as in a real cluster.
/// Its port is closed, so nobody asks whether it is ready: wait for what it makes.
pub(super) async fn start_controller_manager(
    component: &Component,
    workdir: &Arc<Workdir>,
    lifetime: Lifetime,
) -> Result<Process> {
    component
        .builder()
        .lifetime(lifetime)
        .args([
            "--kubeconfig=kubeconfig",
            "--use-service-account-credentials",
        ])
        .args(["--service-account-private-key-file=service-account.key"])
        .args([
            "--root-ca-file=ca.crt",
            "--leader-elect=false",
            "--secure-port=0",
        ])
        .arg(
            "--controllers=*,-nodeipam,-nodelifecycle,-cloud-node-lifecycle,-service-lb-controller",
        )
        .start(workdir, async || true)
        .await
}
