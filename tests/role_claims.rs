//! DbRoleClaims: another team's access to the database of a claim.

mod consent;
mod copy;
mod drift;
mod promise;
mod schemas;

use anyhow::{Context, Result, ensure};
use api::conditions::{self, Type};
use api::names::annotation;
use api::role_claim::DbRoleClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::names;
use testkit::wait::wait_for;

use crate::support::{Stage, merge};

/// Role claims of one namespace, of the class of `stage`.
pub(crate) struct RoleClaims {
    class: String,
    api: Api<DbRoleClaim>,
}

impl RoleClaims {
    /// In the stage's own namespace.
    pub(crate) fn of(stage: &Stage) -> Self {
        Self::within(stage, &stage.namespace)
    }

    pub(crate) fn within(stage: &Stage, namespace: &str) -> Self {
        Self {
            class: stage.namespace.clone(),
            api: Api::namespaced(stage.client.clone(), namespace),
        }
    }

    /// As somebody who shares claims of a namespace, that gives its name to the class.
    pub(crate) fn with(client: &Client, namespace: &str, class: &str) -> Self {
        Self {
            class: class.to_owned(),
            api: Api::namespaced(client.clone(), namespace),
        }
    }

    /// Creates one that shares claim `source` of the stage.
    pub(crate) async fn create(&self, name: &str, source: &str, more: Value) -> Result<()> {
        let mut spec = json!({
            "class": self.class,
            "sourceDatabaseClaim": { "name": source, "namespace": self.class },
        });
        merge(&mut spec, more);
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        let object: DbRoleClaim = serde_json::from_value(object)?;
        let created = self.api.create(&PostParams::default(), &object).await;
        created
            .map(drop)
            .with_context(|| format!("cannot create role claim {name}"))
    }

    pub(crate) async fn get(&self, name: &str) -> Result<DbRoleClaim> {
        Ok(self.api.get(name).await?)
    }

    pub(crate) async fn ready(&self, name: &str) -> Result<DbRoleClaim> {
        self.condition(name, Type::Ready, "Available").await?;
        self.get(name).await
    }

    /// Waits for a condition of that type and reason.
    pub(crate) async fn condition(
        &self,
        name: &str,
        type_: Type,
        reason: &str,
    ) -> Result<Condition> {
        let what = format!("condition {type_:?} with reason {reason} of role claim {name}");
        wait_for(what, async || {
            let status = self.get(name).await?.status.unwrap_or_default();
            let found = conditions::find(&status.conditions, type_);
            ensure!(
                found.is_some_and(|found| found.reason == reason),
                "status: {}",
                serde_json::to_string(&status)?
            );
            Ok(found.cloned())
        })
        .await
    }

    /// Asks for a rotation; returns the nonce.
    pub(crate) async fn ask_rotation(&self, name: &str) -> Result<String> {
        let nonce = names::random(8);
        let patch = json!({ "metadata": { "annotations": { annotation::ROTATE: nonce } } });
        self.patch(name, patch).await?;
        Ok(nonce)
    }

    /// Waits until that rotation is done and recorded.
    pub(crate) async fn has_rotated(&self, name: &str, nonce: &str) -> Result<()> {
        wait_for(format!("role claim {name} to rotate"), async || {
            let status = self.get(name).await?.status;
            let rotation = status.and_then(|status| status.rotation);
            let handled = rotation.and_then(|rotation| rotation.handled_nonce);
            ensure!(handled.as_deref() == Some(nonce), "{handled:?}");
            Ok(Some(()))
        })
        .await
    }

    pub(crate) async fn rotate(&self, name: &str) -> Result<()> {
        let nonce = self.ask_rotation(name).await?;
        self.has_rotated(name, &nonce).await
    }

    /// Merges `patch` into one.
    pub(crate) async fn patch(&self, name: &str, patch: Value) -> Result<()> {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.api.patch(name, &params, &patch).await?;
        Ok(())
    }

    /// Writes a status, as another controller left it.
    pub(crate) async fn patch_status(&self, name: &str, status: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "status": status }));
        let params = PatchParams::default();
        self.api.patch_status(name, &params, &patch).await?;
        Ok(())
    }

    /// Deletes one and waits until it is gone.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.api.delete(name, &DeleteParams::default()).await?;
        wait_for(format!("role claim {name} to be gone"), async || {
            Ok(self.api.get_opt(name).await?.is_none().then_some(()))
        })
        .await
    }
}
