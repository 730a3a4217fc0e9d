//! A DatabaseServer whose admin's credential is rotated.

use anyhow::{Context, Result, ensure};
use api::conditions::{self, Type};
use api::names::{admin_secret, annotation};
use api::server::{DatabaseServer, DatabaseServerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::controller::ControllerProcess;
use testkit::postgres::{Dsn, PostgresServer};
use testkit::wait::wait_for;
use testkit::{TestEnv, names};

use crate::support::{Stage, Texts, merge};

/// A server with an admin that is no superuser, whose credential is rotated, and what serves it.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) postgres: PostgresServer,
    /// The operator's credential.
    pub(crate) admin: Dsn,
    pub(crate) server: Server,
    _controller: ControllerProcess,
}

impl Scene {
    /// Waits for the first publication.
    pub(crate) async fn open(env: &TestEnv) -> Result<Self> {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let server = Server::make(&stage, "main", &admin, postgres.port()).await?;
        server.published(1).await?;
        Ok(Self {
            stage,
            postgres,
            admin,
            server,
            _controller: controller,
        })
    }
}

/// The server, and the stage it is on.
pub(crate) struct Server {
    pub(crate) stage: Stage,
    pub(crate) name: String,
}

impl Server {
    /// Makes one. `port` is PostgreSQL's.
    pub(crate) async fn make(stage: &Stage, stem: &str, admin: &Dsn, port: u16) -> Result<Self> {
        let spec = json!({ "port": port, "adminRotation": { "period": "720h" } });
        Ok(Self {
            name: stage.server(stem, admin, spec).await?,
            stage: stage.clone(),
        })
    }

    fn api(&self) -> Api<DatabaseServer> {
        Api::all(self.stage.client.clone())
    }

    pub(crate) fn secret_name(&self) -> String {
        admin_secret(&self.name)
    }

    pub(crate) async fn secret(&self) -> Result<Texts> {
        self.stage.secret(&self.secret_name()).await
    }

    pub(crate) async fn patch(&self, patch: Value) -> Result<()> {
        let (servers, params) = (self.api(), PatchParams::default());
        let patched = servers
            .patch(&self.name, &params, &Patch::Merge(patch))
            .await;
        patched.map(drop).context("cannot patch the server")
    }

    /// Waits until the status is as `is_so` says.
    pub(crate) async fn when(
        &self,
        what: &str,
        is_so: impl Fn(&DatabaseServerStatus) -> bool,
    ) -> Result<DatabaseServerStatus> {
        wait_for(what, async || {
            let status = self.api().get(&self.name).await?.status.unwrap_or_default();
            ensure!(is_so(&status), "{}", serde_json::to_string(&status)?);
            Ok(Some(status))
        })
        .await
    }

    /// Waits until the server published that many credentials.
    pub(crate) async fn published(&self, generation: i64) -> Result<DatabaseServerStatus> {
        let what = format!("the admin's credential {generation}");
        self.when(&what, |status| {
            let rotation = status.rotation.as_ref();
            rotation.is_some_and(|rotation| rotation.generation >= generation)
        })
        .await
    }

    /// Asks for a rotation; returns the nonce.
    pub(crate) async fn ask(&self) -> Result<String> {
        let nonce = names::random(8);
        let annotations = json!({ annotation::ROTATE: nonce });
        self.patch(json!({ "metadata": { "annotations": annotations } }))
            .await?;
        Ok(nonce)
    }

    /// Has the controller look at the server, as any edit does.
    pub(crate) async fn ask_look(&self, period: &str) -> Result<()> {
        self.patch(json!({ "spec": { "adminRotation": { "period": period } } }))
            .await
    }

    /// Waits until the operator's login is shut.
    pub(crate) async fn initial_login_shut(&self) -> Result<DatabaseServerStatus> {
        self.when("the operator's login to be shut", |status| {
            status.initial_login_shut.is_some()
        })
        .await
    }

    pub(crate) async fn rotate(&self) -> Result<DatabaseServerStatus> {
        let nonce = self.ask().await?;
        self.when("the admin's rotation", |status| {
            let rotation = status.rotation.as_ref();
            rotation.is_some_and(|rotation| rotation.handled_nonce.as_ref() == Some(&nonce))
        })
        .await
    }

    /// Waits for a condition of that type and reason.
    pub(crate) async fn condition(&self, type_: Type, reason: &str) -> Result<Condition> {
        let find = |status: &DatabaseServerStatus| {
            let found = conditions::find(&status.conditions, type_);
            found.filter(|found| found.reason == reason).cloned()
        };
        let what = format!("condition {type_:?} with reason {reason}");
        let status = self.when(&what, |status| find(status).is_some()).await?;
        find(&status).context("it is there")
    }

    /// Deletes the object and makes it again, as a backup without statuses would.
    pub(crate) async fn make_again(&self) -> Result<()> {
        let servers = self.api();
        let before = servers.get(&self.name).await?;
        servers.delete(&self.name, &DeleteParams::default()).await?;
        let mut again = DatabaseServer::new(&self.name, before.spec);
        again.metadata.owner_references = before.metadata.owner_references;
        servers.create(&PostParams::default(), &again).await?;
        Ok(())
    }

    /// Makes a claim with a database of its own here.
    pub(crate) async fn claim(&self, env: &TestEnv, name: &str) -> Result<()> {
        let (_, _, mut spec) = crate::claims::server::fresh(env, &self.name);
        merge(&mut spec, json!({ "rotation": { "period": "24h" } }));
        self.stage.claim(name, spec).await?;
        self.stage.ready(name).await.map(drop)
    }
}
