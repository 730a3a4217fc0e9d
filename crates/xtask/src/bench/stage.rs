//! The servers of a benchmark, and the controller as its own process under the chart's rights.

use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, PostParams};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use testkit::assets;
use testkit::control_plane::{Audit, ControlPlane, ControlPlaneOptions, Controllers, Request};
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::mongod::{Servers, Shape};
use testkit::postgres::PostgresServer;

/// Where the controller is.
pub(super) const HOME: &str = "db-controller";
/// Where the claims are.
pub(super) const NAMESPACE: &str = "bench";
/// The Secret with the superuser's password.
pub(super) const ADMIN_SECRET: &str = "admin";
const CLASS: &str = "default";

/// What PostgreSQL writes down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Logging {
    /// As little as possible: for times.
    Off,
    /// Every statement and connection: for counts.
    Statements,
}

/// All that runs. Dropping it ends it.
pub(super) struct Stage {
    // Clients before the servers that they use: fields are dropped in this order.
    controller: Option<ControllerProcess>,
    pub client: Client,
    pub postgres: PostgresServer,
    /// Where it is asked for.
    pub mongod: Option<Servers>,
    pub control_plane: ControlPlane,
    options: ControllerOptions,
    account: String,
}

impl Stage {
    /// Fresh servers; the controller is not started yet.
    pub(super) async fn start(logging: Logging) -> Result<Self> {
        let postgres = PostgresServer::builder().with_fsync();
        let postgres = match logging {
            Logging::Off => postgres,
            Logging::Statements => postgres.log_statements(),
        };
        let control_plane = ControlPlane::start(ControlPlaneOptions {
            controllers: Controllers::None,
            audit: Audit::Metadata,
            ..ControlPlaneOptions::default()
        });
        let (control_plane, postgres) = tokio::try_join!(control_plane, postgres.start())?;
        control_plane
            .install_crds(&assets::workspace().join("config/crd"))
            .await?;
        for namespace in [HOME, NAMESPACE] {
            control_plane.create_namespace(namespace).await?;
        }
        let client = control_plane.client().await?;
        // Where everything is counted, a drift check that happens to fall due would be, too.
        let values = match logging {
            Logging::Off => "",
            Logging::Statements => "controllerConfig: { driftCheckPeriod: 24h }",
        };
        let chart = control_plane.install_chart(HOME, HOME, values).await?;
        let options = ControllerOptions {
            kubeconfig: control_plane
                .service_account_kubeconfig(HOME, &chart.service_account)
                .await?,
            class: CLASS.to_owned(),
            config: chart.config,
            namespace: HOME.to_owned(),
            binary: Some(assets::workspace().join("target/release/db-controller")),
            ..ControllerOptions::default()
        };
        let stage = Self {
            controller: None,
            client,
            postgres,
            mongod: None,
            control_plane,
            options,
            account: format!("system:serviceaccount:{HOME}:{}", chart.service_account),
        };
        let superuser = stage.postgres.superuser();
        let admin = (superuser.login(), superuser.password());
        stage.publish(NAMESPACE, ADMIN_SECRET, admin).await?;
        Ok(stage)
    }

    /// Servers and a controller that is ready.
    pub(super) async fn with_controller(logging: Logging) -> Result<Self> {
        let mut stage = Self::start(logging).await?;
        stage.start_controller().await?;
        Ok(stage)
    }

    /// The same with a replica set of one member.
    pub(super) async fn with_mongod(logging: Logging) -> Result<Self> {
        let mut stage = Self::with_controller(logging).await?;
        stage.mongod = Some(Servers::start(Shape::Set(1)).await?);
        Ok(stage)
    }

    /// Lets controllers that start from now on serve the webhook on a port of this machine.
    pub(super) fn add_webhook(&mut self, port: u16, certificates: &Path) {
        self.options.args = vec![
            format!("--webhook-bind-address=127.0.0.1:{port}"),
            format!("--webhook-cert-dir={}", certificates.display()),
            "--enable-sidecar-readiness-probe".to_owned(),
        ];
        let images = ["DBPROXY_IMAGE", "DSNEXEC_IMAGE"];
        let images = images.map(|name| (name.to_owned(), "localhost/sidecar:1".to_owned()));
        self.options.env.extend(images);
    }

    /// The controller's metrics of this moment.
    pub(super) async fn metrics(&self) -> Result<String> {
        let controller = self.controller.as_ref().context("no controller runs")?;
        controller.metrics().await
    }

    pub(super) async fn start_controller(&mut self) -> Result<()> {
        self.controller = Some(ControllerProcess::start(self.options.clone()).await?);
        Ok(())
    }

    pub(super) async fn stop_controller(&mut self) -> Result<()> {
        if let Some(controller) = self.controller.take() {
            controller.stop().await?;
        }
        Ok(())
    }

    pub(super) async fn restart_controller(&mut self) -> Result<()> {
        self.stop_controller().await?;
        self.start_controller().await
    }

    pub(super) fn controller_pid(&self) -> Option<u32> {
        self.controller.as_ref().map(ControllerProcess::pid)
    }

    /// Resident memory of the controller in MiB.
    pub(super) fn rss(&self) -> Result<f64> {
        let controller = self.controller.as_ref().context("no controller runs")?;
        let kib = u32::try_from(controller.rss_bytes()? / 1024)?;
        Ok(f64::from(kib) / 1024.0)
    }

    /// The controller's own requests so far.
    pub(super) fn requests(&self) -> Result<Vec<Request>> {
        let mut requests = self.control_plane.requests()?;
        requests.retain(|request| request.user == self.account);
        Ok(requests)
    }

    /// Puts an admin's login and password into a Secret.
    pub(super) async fn publish(
        &self,
        namespace: &str,
        name: &str,
        (login, password): (&str, &SecretString),
    ) -> Result<()> {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": name },
            "stringData": {
                "username": login,
                "password": password.expose_secret(),
            },
        }))?;
        Api::<Secret>::namespaced(self.client.clone(), namespace)
            .create(&PostParams::default(), &secret)
            .await
            .with_context(|| format!("cannot create Secret {namespace}/{name}"))
            .map(drop)
    }

    /// Ends everything in order.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.stop_controller().await?;
        let Self {
            controller: _,
            client: _,
            postgres,
            mongod: _,
            control_plane,
            options: _,
            account: _,
        } = self;
        postgres.stop().await?;
        control_plane.stop().await
    }
}
