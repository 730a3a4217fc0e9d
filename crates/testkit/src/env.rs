//! One test's surroundings: a namespace of its own on shared servers, and a report if it fails.
//!
//! The servers are those that `cargo xtask test` hands on, or one set per test binary that starts
//! on first use. A test that stops or breaks a server starts one of its own instead.

mod autopsy;
mod servers;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use futures::FutureExt;
use kube::Client;
use tokio_util::sync::CancellationToken;

pub use servers::{ENV_VARIABLE, Servers};

use crate::assets;
use crate::control_plane::{ClusterAccess, InstalledChart};
use crate::controller::{ControllerOptions, ControllerProcess};
use crate::names;
use crate::postgres::{Dsn, PostgresAccess, execute, quote};

/// Longest part of a namespace's name that comes from the test's name.
const NAME_LENGTH: usize = 40;

/// What a test gets.
pub struct TestEnv {
    servers: Arc<Servers>,
    client: Client,
    namespace: String,
    token: CancellationToken,
    made: Mutex<Made>,
}

/// What is removed after the test, and the logs that are read if it fails.
#[derive(Default)]
struct Made {
    logins: Vec<String>,
    databases: Vec<String>,
    namespaces: Vec<String>,
    charts: Vec<InstalledChart>,
    /// Open, so that they can be read after the process and its folder are gone.
    logs: Vec<std::fs::File>,
}

/// Runs `body` in a fresh namespace that carries the test's name.
/// If it fails or panics, prints the namespace's claims, Events and controller logs, cleans up, and
/// goes on failing. `TESTKIT_KEEP=1` leaves everything in place.
pub async fn env(body: impl AsyncFnOnce(&TestEnv) -> Result<()>) -> Result<()> {
    let env = TestEnv::new().await?;
    let outcome = AssertUnwindSafe(body(&env)).catch_unwind().await;
    if !matches!(outcome, Ok(Ok(()))) {
        autopsy::print(&env).await;
    }
    env.token.cancel();
    let cleaned = if std::env::var_os("TESTKIT_KEEP").is_some() {
        eprintln!("testkit: namespace {} is kept", env.namespace);
        Ok(())
    } else {
        env.clean_up().await
    };
    match outcome {
        Ok(outcome) => outcome.and(cleaned),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl TestEnv {
    async fn new() -> Result<Self> {
        let servers = servers::shared().await?;
        let client = servers.cluster.client().await?;
        let thread = std::thread::current();
        let test = names::as_label(thread.name().unwrap_or("test"), NAME_LENGTH);
        let namespace = format!("{test}-{}", names::random(6));
        servers.cluster.create_namespace(&namespace).await?;
        let token = CancellationToken::new();
        Ok(Self {
            servers,
            client,
            namespace,
            token,
            made: Mutex::default(),
        })
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Makes one more namespace, and returns its name.
    pub async fn neighbour(&self) -> Result<String> {
        let name = format!("neighbour-{}", names::random(8));
        self.cluster().create_namespace(&name).await?;
        self.made().namespaces.push(name.clone());
        Ok(name)
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn cluster(&self) -> &ClusterAccess {
        &self.servers.cluster
    }

    pub fn postgres(&self) -> &PostgresAccess {
        &self.servers.postgres
    }

    /// Cancelled when the test's body has ended.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Makes a login whose name starts with `stem` and ends at random.
    pub async fn create_login(&self, stem: &str) -> Result<Dsn> {
        self.create_login_with(stem, "").await
    }

    /// Makes an admin with CREATEROLE and CREATEDB that is no superuser.
    pub async fn create_owner_admin(&self) -> Result<Dsn> {
        self.create_login_with("admin", "CREATEROLE CREATEDB").await
    }

    async fn create_login_with(&self, stem: &str, attributes: &str) -> Result<Dsn> {
        let name = format!("{stem}_{}", names::random(8));
        let dsn = self.postgres().create_login(&name, attributes).await?;
        self.made().logins.push(name);
        Ok(dsn)
    }

    /// Makes a database of the superuser's and returns its name: `stem` and a random end.
    pub async fn create_database(&self, stem: &str) -> Result<String> {
        self.create_database_of(stem, crate::postgres::SUPERUSER)
            .await
    }

    pub async fn create_database_of(&self, stem: &str, owner: &str) -> Result<String> {
        let name = format!("{stem}_{}", names::random(8));
        self.postgres().create_database(&name, owner).await?;
        self.made().databases.push(name.clone());
        Ok(name)
    }

    /// Puts a database or role that the test or the controller made on the list of what goes.
    pub fn adopt_database(&self, name: &str) {
        self.made().databases.push(name.to_owned());
    }

    /// Puts a role on the list of what goes.
    pub fn adopt_role(&self, name: &str) {
        self.made().logins.push(name.to_owned());
    }

    /// Installs the chart's ServiceAccount and RBAC into the namespace, with the CRDs before it,
    /// and returns the ServiceAccount's kubeconfig. `values` is the content of a values file.
    pub async fn install_chart(&self, values: &str) -> Result<String> {
        let cluster = self.cluster();
        cluster
            .install_crds(&assets::workspace().join("config/crd"))
            .await?;
        let chart = cluster
            .install_chart(&self.namespace, &self.namespace, values)
            .await?;
        let account = chart.service_account.clone();
        self.made().charts.push(chart);
        cluster
            .service_account_kubeconfig(&self.namespace, &account)
            .await
    }

    /// Options of a controller that serves only this namespace's class, under the chart's RBAC.
    pub async fn controller_options(&self, config: &str) -> Result<ControllerOptions> {
        Ok(ControllerOptions {
            kubeconfig: self.install_chart("").await?,
            class: self.namespace.clone(),
            config: config.to_owned(),
            namespace: self.namespace.clone(),
            ..ControllerOptions::default()
        })
    }

    /// Starts a controller. Its log is shown if the test fails.
    pub async fn start_controller(&self, options: ControllerOptions) -> Result<ControllerProcess> {
        let controller = ControllerProcess::start(options).await?;
        let log = std::fs::File::open(controller.process().log_path())?;
        self.made().logs.push(log);
        Ok(controller)
    }

    /// A controller of this namespace's class with that config.
    pub async fn controller(&self, config: &str) -> Result<ControllerProcess> {
        self.start_controller(self.controller_options(config).await?)
            .await
    }

    async fn clean_up(&self) -> Result<()> {
        let Made {
            logins,
            databases,
            namespaces,
            charts,
            logs: _,
        } = std::mem::take(&mut *self.made());
        for chart in &charts {
            self.cluster().uninstall_chart(chart).await?;
        }
        self.cluster().delete_namespace(&self.namespace).await?;
        for namespace in namespaces {
            self.cluster().delete_namespace(&namespace).await?;
        }
        for database in databases {
            self.postgres().drop_database(&database).await?;
        }
        let superuser = self.postgres().superuser().url();
        for login in logins {
            let sql = format!("DROP ROLE IF EXISTS {}", quote(&login));
            // A role that still owns something elsewhere stays until the server goes.
            if let Err(err) = execute(&superuser, &sql).await.context("clean up") {
                tracing::debug!(login, error = format!("{err:#}"), "role stays");
            }
        }
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
