//! The certificate over the life of the process: the first one, and each that follows.

use std::{io, path::PathBuf, time::Duration};

use jiff::Timestamp;
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::{
    Leaf, Presented,
    store::{self, Registrations},
};

/// Where certificates come from.
pub enum Source {
    /// Made here, and kept in a Secret.
    Own(Own),
    /// `tls.crt` and `tls.key` in this folder, which somebody else renews.
    Given(PathBuf),
}

/// What is needed to make certificates that the API server trusts.
pub struct Own {
    pub client: Client,
    pub namespace: String,
    pub secret: String,
    /// The names under which the API server calls.
    pub names: Vec<String>,
    pub registrations: Registrations,
}

/// Why there is no certificate, or no newer one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Certificate(#[from] super::Error),
    #[error("{} can't be read", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Looks after own certificates: they live for weeks, but registrations that somebody replaced
/// trust nobody, and until that is seen no labelled pod is made.
const OWN: Duration = Duration::from_secs(15);

/// Looks at files that somebody else replaces without a word.
const GIVEN: Duration = Duration::from_secs(10);

/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);

impl Source {
    /// The first certificate, however long that takes. `None`: the token ended before.
    pub async fn first(&self, token: &CancellationToken) -> Option<Presented> {
        let mut told = String::new();
        loop {
            let leaf = self.current().await;
            match leaf.and_then(|leaf| Presented::new(&leaf).map_err(Error::from)) {
                Ok(presented) => return Some(presented),
                Err(err) => tell(&err, &mut told),
            }
            pause(AGAIN, token).await?;
        }
    }

    /// Presents each newer certificate, until the token ends. Meanwhile the last good one stays.
    pub async fn follow(&self, presented: &Presented, token: &CancellationToken) {
        let mut told = String::new();
        let mut wait = self.period();
        while pause(wait, token).await.is_some() {
            let leaf = self.current().await;
            match leaf.and_then(|leaf| Ok(presented.replace(&leaf)?)) {
                Ok(()) => {
                    told.clear();
                    wait = self.period();
                }
                Err(err) => {
                    tell(&err, &mut told);
                    wait = AGAIN;
                }
            }
        }
    }

    fn period(&self) -> Duration {
        match self {
            Self::Own(_) => OWN,
            Self::Given(_) => GIVEN,
        }
    }

    /// The certificate of this moment; an own one is trusted by the registrations before.
    async fn current(&self) -> Result<Leaf, Error> {
        match self {
            Self::Own(own) => own.current().await,
            Self::Given(folder) => {
                let read = async |name: &str| {
                    let path = folder.join(name);
                    let text = tokio::fs::read_to_string(&path).await;
                    text.map_err(|source| Error::File { path, source })
                };
                let (chain, key) = (read("tls.crt").await?, read("tls.key").await?);
                Ok(Leaf {
                    chain,
                    key: key.into(),
                })
            }
        }
    }
}

impl Own {
    async fn current(&self) -> Result<Leaf, Error> {
        let Self {
            client,
            namespace,
            secret,
            names,
            registrations,
        } = self;
        let kept = store::keep(client, namespace, secret, names, Timestamp::now()).await?;
        store::publish(client, registrations, &kept.authorities).await?;
        Ok(kept.leaf)
    }
}

/// Says once in the same words why there is no certificate.
fn tell(err: &Error, told: &mut String) {
    let mut text = err.to_string();
    let mut source = std::error::Error::source(err);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    if *told != text {
        tracing::warn!(error = text, "no certificate for the webhook");
        *told = text;
    }
}

/// `None`: the token ended.
async fn pause(wait: Duration, token: &CancellationToken) -> Option<()> {
    token.run_until_cancelled(tokio::time::sleep(wait)).await
}
