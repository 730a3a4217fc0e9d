//! Where the certificates are kept: one Secret, and the bundle in the webhook configurations.
//!
//! All writes are conditional on what was read, so replicas that renew at once end with one
//! authority: who comes second reads what the first has written.
//! These are the crate's only API calls, and none happens while a review waits.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
        },
        core::v1::Secret,
    },
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};

use super::renewal::{Kept, renewed};

/// Somebody else wrote in between so often: something is wrong.
const TRIES: usize = 10;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Why certificates could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the webhook's certificate could not be made")]
    Make(#[source] rcgen::Error),
    #[error("{what} could not be read or written")]
    Api {
        what: String,
        #[source]
        source: kube::Error,
    },
    #[error("{0} is written by others again and again")]
    Contended(String),
    #[error("the API server did not answer within {TIMEOUT:?}")]
    Timeout,
}

/// Reads the certificates from the Secret, and renews what is due for a server of these names.
/// Call it at start and now and then; present what it returns.
pub async fn keep(
    client: &Client,
    ns: &str,
    secret: &str,
    names: &[String],
    now: Timestamp,
) -> Result<Kept, Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), ns);
    let what = || format!("Secret {ns}/{secret}");
    for _ in 0..TRIES {
        let present = answered(secrets.get_opt(secret), what).await?;
        let data = present.as_ref().and_then(|present| present.data.as_ref());
        let kept = data.and_then(Kept::read);
        let next = renewed(kept.as_ref(), names, now).map_err(Error::Make)?;
        let next = match (next, kept) {
            (None, Some(kept)) => return Ok(kept),
            (None, None) => continue,
            (Some(next), _) => next,
        };
        let params = PostParams::default();
        let written = match present {
            None => {
                let new = new_secret(secret, &next);
                answered(secrets.create(&params, &new), what).await
            }
            Some(mut present) => {
                // Its version is still in it, so this fails where somebody was faster.
                present.data.get_or_insert_default().extend(next.data());
                answered(secrets.replace(secret, &params, &present), what).await
            }
        };
        match written {
            Ok(_) => return Ok(next),
            Err(err) if err.is_conflict() => {}
            Err(err) => return Err(err),
        }
    }
    Err(Error::Contended(what()))
}

/// The names of the configurations through which the API server knows this webhook.
#[derive(Debug, Clone)]
pub struct Registrations {
    pub mutating: String,
    pub validating: String,
}

/// Writes the bundle into both configurations, where they exist and differ.
pub async fn publish(
    client: &Client,
    registrations: &Registrations,
    authorities: &str,
) -> Result<(), Error> {
    let Registrations {
        mutating,
        validating,
    } = registrations;
    let bundle = ByteString(authorities.as_bytes().to_vec());
    let all = Api::<MutatingWebhookConfiguration>::all(client.clone());
    publish_in(all, mutating, &bundle).await?;
    let all = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    publish_in(all, validating, &bundle).await
}

/// A kind with webhooks, each of which names the authorities that it trusts.
trait Registration {
    const KIND: &str;

    fn clients(&mut self) -> impl Iterator<Item = &mut WebhookClientConfig>;
}

impl Registration for MutatingWebhookConfiguration {
    const KIND: &str = "MutatingWebhookConfiguration";

    fn clients(&mut self) -> impl Iterator<Item = &mut WebhookClientConfig> {
        let hooks = self.webhooks.iter_mut().flatten();
        hooks.map(|hook| &mut hook.client_config)
    }
}

impl Registration for ValidatingWebhookConfiguration {
    const KIND: &str = "ValidatingWebhookConfiguration";

    fn clients(&mut self) -> impl Iterator<Item = &mut WebhookClientConfig> {
        let hooks = self.webhooks.iter_mut().flatten();
        hooks.map(|hook| &mut hook.client_config)
    }
}

async fn publish_in<K>(api: Api<K>, name: &str, bundle: &ByteString) -> Result<(), Error>
where
    K: Registration + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let what = || format!("{} {name}", K::KIND);
    for _ in 0..TRIES {
        let Some(mut present) = answered(api.get_opt(name), what).await? else {
            return Ok(());
        };
        let mut is_changed = false;
        for client in present.clients() {
            if client.ca_bundle.as_ref() != Some(bundle) {
                client.ca_bundle = Some(bundle.clone());
                is_changed = true;
            }
        }
        if !is_changed {
            return Ok(());
        }
        match answered(api.replace(name, &PostParams::default(), &present), what).await {
            Ok(_) => return Ok(()),
            Err(err) if err.is_conflict() => {}
            Err(err) => return Err(err),
        }
    }
    Err(Error::Contended(what()))
}

impl Error {
    /// Whether somebody else wrote in between.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.code == 409)
    }
}

async fn answered<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
    what: impl Fn() -> String,
) -> Result<T, Error> {
    let answer = tokio::time::timeout(TIMEOUT, call).await;
    let answer = answer.map_err(|_| Error::Timeout)?;
    answer.map_err(|source| Error::Api {
        what: what(),
        source,
    })
}

fn new_secret(name: &str, kept: &Kept) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(kept.data()),
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    }
}
