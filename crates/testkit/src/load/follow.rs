//! The Secret's content as a stream of credentials.

use anyhow::Result;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use secrecy::SecretString;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::prober::uri_of;

/// One content of the Secret.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub(super) version: String,
    pub(super) dsn: SecretString,
}

/// Sends each credential that the Secret comes to hold. A deleted Secret changes nothing: the
/// application goes on with what it has.
pub(super) async fn run(
    client: Client,
    ns: String,
    name: String,
    credentials: watch::Sender<Option<Credential>>,
    token: CancellationToken,
) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client, &ns);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let stream = watcher(secrets, config).default_backoff().applied_objects();
    let mut stream = std::pin::pin!(stream.take_until(token.cancelled_owned()));
    while let Some(event) = stream.next().await {
        // The watcher reconnects by itself.
        let Ok(secret) = event else { continue };
        if let Ok(dsn) = uri_of(&secret) {
            let version = secret.resource_version().unwrap_or_default();
            credentials.send_replace(Some(Credential { version, dsn }));
        }
    }
    Ok(())
}
