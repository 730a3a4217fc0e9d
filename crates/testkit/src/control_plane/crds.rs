//! Installing CustomResourceDefinitions and waiting until they are served.

use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition;
use kube::{Api, ResourceExt};

use super::{ClusterAccess, objects};
use crate::wait::wait_for;

impl ClusterAccess {
    /// Applies the CRDs of a folder such as `config/crd` and waits until all are established.
    pub async fn install_crds(&self, dir: &Path) -> Result<()> {
        let client = self.client().await?;
        let crds: Vec<_> = objects::read_dir(dir)?;
        anyhow::ensure!(
            !crds.is_empty(),
            "no CRD in {}: run cargo xtask crds",
            dir.display()
        );
        for crd in &crds {
            objects::apply(&client, "default", crd).await?;
        }
        let api: Api<CustomResourceDefinition> = Api::all(client);
        for crd in &crds {
            let name = crd.name_any();
            wait_for(format!("CRD {name}"), async || {
                let seen = api.get_opt(&name).await.context("get CRD")?;
                Ok(is_crd_established()
                    .matches_object(seen.as_ref())
                    .then_some(()))
            })
            .await?;
        }
        Ok(())
    }
}
