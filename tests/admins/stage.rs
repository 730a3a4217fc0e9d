//! A DatabaseServer whose admin's credential is rotated.

use anyhow::{Context, Result, ensure};
use api::conditions::{self, Type};
use api::names::{admin_secret, annotation};
use api::server::{DatabaseServer, DatabaseServerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::names;
use testkit::postgres::Dsn;
use testkit::wait::wait_for;

use crate::support::{Stage, Texts, merge};

/// The server, and the stage it is on.
pub(super) struct Server {
    pub(super) stage: Stage,
    pub(super) name: String,
}

impl Server {
    /// Makes one. `port` is PostgreSQL's.
    pub(super) async fn make(stage: &Stage, stem: &str, admin: &Dsn, port: u16) -> Result<Self> {
        let spec = json!({ "port": port, "adminRotation": { "period": "720h" } });
        Ok(Self {
            name: stage.server(stem, admin, spec).await?,
            stage: stage.clone(),
        })
    }

    fn api(&self) -> Api<DatabaseServer> {
        Api::all(self.stage.client.clone())
    }

    pub(super) fn secret_name(&self) -> String {
        admin_secret(&self.name)
    }

    pub(super) async fn secret(&self) -> Result<Texts> {
        self.stage.secret(&self.secret_name()).await
    }

    pub(super) async fn patch(&self, patch: Value) -> Result<()> {
        let (servers, params) = (self.api(), PatchParams::default());
        let patched = servers
            .patch(&self.name, &params, &Patch::Merge(patch))
            .await;
        patched.map(drop).context("cannot patch the server")
    }

    /// Waits until the status is as `is_so` says.
    pub(super) async fn when(
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
    pub(super) async fn published(&self, generation: i64) -> Result<DatabaseServerStatus> {
        let what = format!("the admin's credential {generation}");
        self.when(&what, |status| {
            let rotation = status.rotation.as_ref();
            rotation.is_some_and(|rotation| rotation.generation >= generation)
        })
        .await
    }

    /// Asks for a rotation; returns the nonce.
    pub(super) async fn ask(&self) -> Result<String> {
        let nonce = names::random(8);
        let annotations = json!({ annotation::ROTATE: nonce });
        self.patch(json!({ "metadata": { "annotations": annotations } }))
            .await?;
        Ok(nonce)
    }

    /// Has the controller look at the server, as any edit does.
    pub(super) async fn ask_look(&self, period: &str) -> Result<()> {
        self.patch(json!({ "spec": { "adminRotation": { "period": period } } }))
            .await
    }

    pub(super) async fn rotate(&self) -> Result<DatabaseServerStatus> {
        let nonce = self.ask().await?;
        self.when("the admin's rotation", |status| {
            let rotation = status.rotation.as_ref();
            rotation.is_some_and(|rotation| rotation.handled_nonce.as_ref() == Some(&nonce))
        })
        .await
    }

    /// Waits for a condition of that type and reason.
    pub(super) async fn condition(&self, type_: Type, reason: &str) -> Result<Condition> {
        let find = |status: &DatabaseServerStatus| {
            let found = conditions::find(&status.conditions, type_);
            found.filter(|found| found.reason == reason).cloned()
        };
        let what = format!("condition {type_:?} with reason {reason}");
        let status = self.when(&what, |status| find(status).is_some()).await?;
        find(&status).context("it is there")
    }

    /// Makes a claim with a database of its own here.
    pub(super) async fn claim(&self, env: &testkit::TestEnv, name: &str) -> Result<()> {
        let (_, _, mut spec) = crate::claims::server::fresh(env, &self.name);
        merge(&mut spec, json!({ "rotation": { "period": "24h" } }));
        self.stage.claim(name, spec).await?;
        self.stage.ready(name).await.map(drop)
    }
}
