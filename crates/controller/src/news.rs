//! Changes that concern more than one claim: a server, the configuration.

use api::claim::DatabaseClaim;
use futures::Stream;
use tokio::sync::broadcast;

/// Something that concerns more than one claim.
#[derive(Debug, Clone)]
pub enum News {
    Server(String),
    Everything,
}

impl News {
    pub fn concerns(&self, claim: &DatabaseClaim) -> bool {
        let Self::Server(name) = self else {
            return true;
        };
        let status = claim
            .status
            .as_ref()
            .and_then(|status| status.server.as_ref());
        let recorded = status.and_then(|server| server.name.as_deref());
        let named = claim.spec.server.as_deref();
        match recorded.or(named) {
            Some(other) => other == name,
            // A claim that waits for a server may be waiting for this one.
            None => claim.spec.source_data_from.is_none(),
        }
    }
}

/// News as a stream; who was too slow to hear all hears that everything changed.
pub fn receive(receiver: broadcast::Receiver<News>) -> impl Stream<Item = News> + Send {
    futures::stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(news) => Some((news, receiver)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some((News::Everything, receiver)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    })
}
