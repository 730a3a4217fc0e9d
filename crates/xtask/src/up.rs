//! `cargo xtask up`: a control plane, a PostgreSQL server and the controller stay in the background.
//!
//! The controller runs with the chart's own ServiceAccount, RBAC and config file. If anything fails
//! on the way, or on Ctrl-C or SIGTERM, nothing stays.

use std::mem;
use std::path::PathBuf;

use anyhow::{Context, Result};
use api::server::DatabaseServer;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::control_plane::{ControlPlane, ControlPlaneOptions};
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::postgres::{Dsn, PostgresServer};
use testkit::process::{Lifetime, free_port};

use crate::local::{self, Detached};
use crate::signals::interrupted;

const NAMESPACE: &str = "db-controller";
const CLASS: &str = "default";

/// The server of the config file that claims can name, and the Secret with its admin's password.
const SERVER: &str = "local";
const ADMIN_SECRET: &str = "local-admin";

/// All that runs. Dropping it ends it.
struct Environment {
    controller: ControllerProcess,
    control_plane: ControlPlane,
    postgres: PostgresServer,
    owner_admin: Dsn,
}

pub(crate) async fn run() -> Result<()> {
    let running = local::noted()?.into_iter().find(Detached::is_running);
    if let Some(process) = running {
        anyhow::bail!(
            "{} is running already: cargo xtask down ends it",
            process.name()
        );
    }
    tokio::task::spawn_blocking(testkit::assets::prepare_servers).await??;
    let environment = tokio::select! {
        biased;
        interrupted = interrupted() => {
            interrupted?;
            anyhow::bail!("interrupted; nothing stays behind")
        }
        environment = start() => environment?,
    };
    local::note(&environment.processes()?)?;
    let env_file = environment.write_env_file()?;
    mem::forget(environment);
    println!("ready: source {}", env_file.display());
    Ok(())
}

async fn start() -> Result<Environment> {
    let folder = local::folder();
    for old in [local::postgres_folder(), folder.clone()] {
        if old.exists() {
            std::fs::remove_dir_all(&old)?;
        }
    }
    let control_plane = ControlPlane::start(ControlPlaneOptions {
        lifetime: Lifetime::Detached,
        dir: Some(folder.join("control-plane")),
        ..ControlPlaneOptions::default()
    });
    let postgres = PostgresServer::builder()
        .offering_tls()
        .lifetime(Lifetime::Detached)
        .dir(&local::postgres_folder())
        .start();
    let (control_plane, postgres) = tokio::try_join!(control_plane, postgres)?;
    let owner_admin = postgres.create_owner_admin().await?.dsn;
    let controller = start_controller(&control_plane, &postgres, &owner_admin).await?;
    Ok(Environment {
        controller,
        control_plane,
        postgres,
        owner_admin,
    })
}

async fn start_controller(
    control_plane: &ControlPlane,
    postgres: &PostgresServer,
    admin: &Dsn,
) -> Result<ControllerProcess> {
    control_plane
        .install_crds(&testkit::assets::workspace().join("config/crd"))
        .await?;
    control_plane.create_namespace(NAMESPACE).await?;
    publish_admin(control_plane, admin).await?;
    admit_documents(control_plane, postgres.port(), admin).await?;
    let values = values(postgres.port(), admin.login(), free_port()?);
    let chart = control_plane
        .install_chart("db-controller", NAMESPACE, &values)
        .await?;
    control_plane.register_webhook(&chart).await?;
    let kubeconfig = control_plane
        .service_account_kubeconfig(NAMESPACE, &chart.service_account)
        .await?;
    ControllerProcess::start(ControllerOptions {
        kubeconfig,
        class: CLASS.to_owned(),
        config: chart.config,
        namespace: NAMESPACE.to_owned(),
        lifetime: Lifetime::Detached,
        dir: Some(local::folder().join("controller")),
        args: chart.webhook_args,
        env: chart.webhook_env,
        ..ControllerOptions::default()
    })
    .await
}

/// Values of the chart: one server for claims, with the admin that is no superuser, and the port of
/// the webhook.
fn values(port: u16, admin: &str, webhook: u16) -> String {
    format!(
        "dbController:
  class: {CLASS}
webhook:
  port: {webhook}
service:
  port: {webhook}
controllerConfig:
  {SERVER}:
    host: localhost
    port: {port}
    username: {admin}
    sslMode: require
    passwordSecretRef: {ADMIN_SECRET}
    passwordSecretKey: password
"
    )
}

async fn publish_admin(control_plane: &ControlPlane, admin: &Dsn) -> Result<()> {
    let password = admin.password().expose_secret().to_owned();
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(ADMIN_SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        string_data: Some([("password".to_owned(), password)].into()),
        ..Secret::default()
    };
    Api::<Secret>::namespaced(control_plane.client().await?, NAMESPACE)
        .patch(
            ADMIN_SECRET,
            &PatchParams::apply("xtask").force(),
            &Patch::Apply(&secret),
        )
        .await
        .context("cannot publish the admin's password")
        .map(drop)
}

/// The server and the namespace of which README.md and the user guide speak, so that their claims
/// can be applied as they are.
async fn admit_documents(control_plane: &ControlPlane, port: u16, admin: &Dsn) -> Result<()> {
    control_plane.create_namespace("shop").await?;
    let secret = serde_json::from_value(json!({
        "metadata": { "name": "main-admin" },
        "stringData": { "username": admin.login(), "password": admin.password().expose_secret() },
    }))?;
    let server = serde_json::from_value(json!({
        "metadata": { "name": "main" },
        "spec": {
            "host": "localhost",
            "port": port,
            "sslMode": "require",
            "adminSecretRef": { "name": "main-admin" },
            "allowedNamespaces": { "all": true },
        },
    }))?;
    let (client, params) = (control_plane.client().await?, PostParams::default());
    let secrets = Api::<Secret>::namespaced(client.clone(), NAMESPACE);
    secrets.create(&params, &secret).await?;
    let servers = Api::<DatabaseServer>::all(client);
    servers.create(&params, &server).await?;
    Ok(())
}

impl Environment {
    /// In the order in which `down` ends them: whoever uses another goes first.
    fn processes(&self) -> Result<Vec<Detached>> {
        let Self {
            controller,
            control_plane,
            postgres,
            owner_admin: _,
        } = self;
        let mut processes = vec![Detached::new("db-controller", controller.pid())?];
        for process in control_plane.processes() {
            processes.push(Detached::new(process.name(), process.pid())?);
        }
        processes.push(Detached::new("postgres", postgres.process().pid())?);
        Ok(processes)
    }

    /// Shell lines to source. The DSNs are those of a superuser and of an admin that is none.
    fn write_env_file(&self) -> Result<PathBuf> {
        let Self {
            controller,
            control_plane,
            postgres,
            owner_admin,
        } = self;
        let lines = [
            (
                "KUBECONFIG",
                control_plane.kubeconfig_path().display().to_string(),
            ),
            (
                "POSTGRES_ADMIN_DSN",
                postgres.superuser().url().expose_secret().to_owned(),
            ),
            (
                "POSTGRES_OWNER_DSN",
                owner_admin.url().expose_secret().to_owned(),
            ),
            ("METRICS_URL", controller.metrics_url()),
        ];
        let text = lines
            .map(|(name, value)| {
                format!(
                    "export {name}='{value}'
"
                )
            })
            .concat();
        let path = local::folder().join("env");
        testkit::process::write_private(&path, &text)?;
        Ok(path)
    }
}
