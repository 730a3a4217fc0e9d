//! The servers of the demo: a control plane, two PostgreSQL servers, the controller.

use anyhow::{Context, Result};
use kube::Client;
use testkit::assets::{self, postgres::DEFAULT_MAJOR, programs::Program};
use testkit::control_plane::{ControlPlane, ControlPlaneOptions};
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::node;
use testkit::postgres::{Admin, PostgresServer};
use testkit::process::free_port;

use super::{Clock, objects};

/// Where the controller and the admins' Secrets are.
pub(super) const HOME: &str = "db-controller";
/// Where the claims are.
pub(super) const NAMESPACE: &str = "shop";
pub(super) const CLASS: &str = "default";

/// The other version, where it can be had.
const SECOND_MAJOR: u32 = 17;

/// A PostgreSQL server and its admin, who is no superuser.
pub(super) struct Server {
    /// The name of its DatabaseServer.
    pub name: String,
    pub postgres: PostgresServer,
    pub admin: Admin,
}

/// All that runs. Dropping it ends it.
pub(super) struct Stage {
    // Clients before the servers that they use: fields are dropped in this order.
    controller: ControllerProcess,
    pub client: Client,
    pub servers: [Server; 2],
    pub control_plane: ControlPlane,
}

/// Builds or fetches what is needed and returns the versions of PostgreSQL to run.
pub(super) async fn prepare() -> Result<[u32; 2]> {
    let making = || -> Result<[u32; 2]> {
        Program::Controller.binary()?;
        assets::control_plane::binaries()?;
        assets::helm::binary()?;
        assets::postgres::binaries(DEFAULT_MAJOR)?;
        if node::obstacle().is_none() {
            assets::node::programs()?;
            assets::images::build()?;
        }
        if let Err(err) = assets::postgres::binaries(SECOND_MAJOR) {
            println!("both servers are PostgreSQL {DEFAULT_MAJOR}: {err:#}");
            return Ok([DEFAULT_MAJOR; 2]);
        }
        Ok([DEFAULT_MAJOR, SECOND_MAJOR])
    };
    tokio::task::spawn_blocking(making).await?
}

impl Stage {
    pub(super) async fn start(majors: [u32; 2], clock: Clock) -> Result<Self> {
        let [first, second] = majors;
        clock.say(&format!(
            "starting etcd, kube-apiserver, kube-controller-manager, PostgreSQL {first} and {second}"
        ));
        let (control_plane, first, second) = tokio::try_join!(
            ControlPlane::start(ControlPlaneOptions::default()),
            server(first, "first"),
            server(second, "second"),
        )?;
        let servers = [first, second];
        control_plane
            .install_crds(&assets::workspace().join("config/crd"))
            .await?;
        for namespace in [HOME, NAMESPACE] {
            control_plane.create_namespace(namespace).await?;
        }
        let client = control_plane.client().await?;
        let controller = start_controller(&control_plane).await?;
        clock.say(&format!(
            "the controller runs as pid {} with the rights that the chart gives it",
            controller.pid()
        ));
        for server in &servers {
            let version = objects::admit(&client, server).await?;
            clock.say(&format!(
                "DatabaseServer {}: Ready, PostgreSQL {version}, admin {} is no superuser",
                server.name,
                server.admin.dsn.login()
            ));
        }
        Ok(Self {
            controller,
            client,
            servers,
            control_plane,
        })
    }

    /// Ends everything in order.
    pub(super) async fn stop(self) -> Result<()> {
        let Self {
            controller,
            client: _,
            servers,
            control_plane,
        } = self;
        controller.stop().await?;
        for server in &servers {
            server.postgres.stop().await?;
        }
        control_plane.stop().await
    }
}

async fn server(major: u32, name: &str) -> Result<Server> {
    let postgres = PostgresServer::builder()
        .major(major)
        .offering_tls()
        .start()
        .await
        .with_context(|| format!("PostgreSQL {major} does not start"))?;
    let admin = postgres.create_owner_admin().await?;
    Ok(Server {
        name: name.to_owned(),
        postgres,
        admin,
    })
}

async fn start_controller(control_plane: &ControlPlane) -> Result<ControllerProcess> {
    let (port, tag) = (free_port()?, assets::images::TAG);
    let values = format!(
        "webhook: {{port: {port}}}\nservice: {{port: {port}}}\ndbproxy: {{image: {{tag: {tag}}}}}\n"
    );
    let chart = control_plane.install_chart(HOME, HOME, &values).await?;
    control_plane.register_webhook(&chart).await?;
    let kubeconfig = control_plane
        .service_account_kubeconfig(HOME, &chart.service_account)
        .await?;
    ControllerProcess::start(ControllerOptions {
        kubeconfig,
        class: CLASS.to_owned(),
        config: chart.config,
        namespace: HOME.to_owned(),
        args: chart.webhook_args,
        env: chart.webhook_env,
        ..ControllerOptions::default()
    })
    .await
}
