//! Everything that people, collectors and neighbours can read without reading a Secret's data.

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt, discovery};
use serde_json::Value;
use testkit::controller::ControllerProcess;

/// A text and where it was found.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) text: String,
}

impl Place {
    pub(super) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }
}

/// All places around one controller and one database server. Objects are those of the whole
/// cluster.
pub(super) async fn all(
    client: &Client,
    controller: &ControllerProcess,
    server_log: String,
) -> Result<Vec<Place>> {
    let mut places = vec![
        // Standard output and error, as a terminal or a collector gets them.
        Place::new("controller log", controller.log()?),
        Place::new("metrics", controller.metrics().await?),
        Place::new("server log", server_log),
    ];
    places.extend(process(controller.pid())?);
    places.extend(objects(client).await?);
    Ok(places)
}

/// What every process of a node may see of another, and what its owner may.
pub(super) fn process(pid: u32) -> Result<Vec<Place>> {
    ["cmdline", "environ"]
        .into_iter()
        .map(|file| {
            let path = format!("/proc/{pid}/{file}");
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
            Ok(Place::new(file, String::from_utf8_lossy(&bytes)))
        })
        .collect()
}

/// Whole objects with their metadata, except for what somebody else put there to be kept: the
/// spec of our kinds, the data of a Secret.
async fn objects(client: &Client) -> Result<Vec<Place>> {
    let group = discovery::oneshot::group(client, api::names::GROUP).await?;
    let ours = group.recommended_resources().into_iter();
    let mut kinds: Vec<(ApiResource, &str)> = ours.map(|(kind, _)| (kind, "spec")).collect();
    kinds.extend([
        (ApiResource::erase::<Secret>(&()), "data"),
        (ApiResource::erase::<ConfigMap>(&()), ""),
        (ApiResource::erase::<Event>(&()), ""),
        (ApiResource::erase::<Lease>(&()), ""),
    ]);
    let mut places = Vec::new();
    for (kind, hidden) in kinds {
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        for mut object in objects.list(&ListParams::default()).await? {
            if let Value::Object(fields) = &mut object.data {
                fields.remove(hidden);
            }
            let name = format!("{} {}", kind.kind, object.name_any());
            places.push(Place::new(name, serde_json::to_string(&object)?));
        }
    }
    Ok(places)
}
