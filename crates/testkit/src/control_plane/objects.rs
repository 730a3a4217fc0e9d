//! YAML files as objects of any kind, applied as the admin.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::discovery::{self, Scope};
use kube::{Client, ResourceExt};

/// Field manager of everything that the test bed applies.
const MANAGER: &str = "testkit";

/// Reads every document of a YAML text; empty ones are left out.
pub(super) fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    let documents: Vec<Option<DynamicObject>> =
        serde_saphyr::from_multiple(yaml).context("not a Kubernetes object")?;
    Ok(documents.into_iter().flatten().collect())
}

/// All objects of the `.yaml` files in `dir`.
pub(super) fn read_dir(dir: &Path) -> Result<Vec<DynamicObject>> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let yaml = fs::read_to_string(&file)?;
        objects.extend(parse(&yaml).with_context(|| format!("{}", file.display()))?);
    }
    Ok(objects)
}

/// Server-side applies one object; one without namespace goes into `ns` if its kind has one.
pub(super) async fn apply(client: &Client, ns: &str, object: &DynamicObject) -> Result<()> {
    let api = api_of(client, ns, object).await?;
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object))
        .await
        .with_context(|| format!("cannot apply {}", describe(object)))
        .map(drop)
}

/// Deletes one object; gone already is as good.
pub(super) async fn delete(client: &Client, ns: &str, object: &DynamicObject) -> Result<()> {
    let api = api_of(client, ns, object).await?;
    match api
        .delete(&object.name_any(), &kube::api::DeleteParams::default())
        .await
    {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        outcome => outcome
            .with_context(|| format!("cannot delete {}", describe(object)))
            .map(drop),
    }
}

pub(super) async fn scope_of(client: &Client, object: &DynamicObject) -> Result<Scope> {
    Ok(resolve(client, object).await?.1.scope)
}

pub(super) fn kind(object: &DynamicObject) -> &str {
    object
        .types
        .as_ref()
        .map_or("", |types| types.kind.as_str())
}

async fn api_of(client: &Client, ns: &str, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let (resource, capabilities) = resolve(client, object).await?;
    Ok(match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let ns = object.namespace().unwrap_or_else(|| ns.to_owned());
            Api::namespaced_with(client.clone(), &ns, &resource)
        }
    })
}

async fn resolve(
    client: &Client,
    object: &DynamicObject,
) -> Result<(discovery::ApiResource, discovery::ApiCapabilities)> {
    let types = object.types.as_ref().context("an object without kind")?;
    let kind = types
        .try_into()
        .context("an object without group or version")?;
    discovery::oneshot::pinned_kind(client, &kind)
        .await
        .with_context(|| format!("the API server does not know {}", describe(object)))
}

fn describe(object: &DynamicObject) -> String {
    format!("{} {}", kind(object), object.name_any())
}
