//! Changes that concern more than one claim: a server, the configuration, a claim that is shared.

use std::collections::HashMap;

use api::{
    claim::DatabaseClaim,
    conditions::{self, Type},
    role_claim::DbRoleClaim,
    server::DatabaseServer,
};
use futures::Stream;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::broadcast;

/// Something that concerns more than one claim.
#[derive(Debug, Clone)]
pub enum News {
    Server(String),
    /// A claim, or its Secret.
    Claim(ObjectRef<DatabaseClaim>),
    Everything,
}

impl News {
    pub fn concerns(&self, claim: &DatabaseClaim) -> bool {
        let name = match self {
            Self::Server(name) => name,
            Self::Claim(_) => return false,
            Self::Everything => return true,
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

    pub fn concerns_role(&self, role_claim: &DbRoleClaim) -> bool {
        match self {
            // Where it lives is its source's to say; one that waits may be waiting for this server.
            Self::Server(_) => {
                let status = role_claim.status.as_ref();
                let is = |type_| {
                    status.is_some_and(|status| conditions::is_true(&status.conditions, type_))
                };
                !is(Type::Ready) || is(Type::Rotating)
            }
            Self::Claim(claim) => {
                let namespace = claim.namespace.as_deref().unwrap_or_default();
                role_claim.shares(namespace, &claim.name)
            }
            Self::Everything => true,
        }
    }
}

/// What of a server matters to its claims. Its count of databases, which moves with every claim,
/// does not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Relevant {
    uid: Option<String>,
    generation: Option<i64>,
    is_ready: bool,
    version: Option<String>,
}

/// The servers as claims were last told of them.
#[derive(Debug, Default)]
pub struct Told(HashMap<String, Relevant>);

impl Told {
    /// Whether claims should hear of the server, which now is as given, or gone.
    pub fn is_news(&mut self, name: &str, server: Option<&DatabaseServer>) -> bool {
        let Some(server) = server else {
            return self.0.remove(name).is_some();
        };
        let status = server.status.as_ref();
        let now = Relevant {
            uid: server.metadata.uid.clone(),
            generation: server.metadata.generation,
            is_ready: status
                .is_some_and(|status| conditions::is_true(&status.conditions, Type::Ready)),
            version: status.and_then(|status| status.version.clone()),
        };
        let before = self.0.insert(name.to_owned(), now.clone());
        before.is_none_or(|before| before != now)
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

#[cfg(test)]
mod tests {
    use api::server::{DatabaseServerSpec, DatabaseServerStatus};

    use super::*;

    #[test]
    fn claims_hear_of_a_server_only_what_matters_to_them() {
        let mut told = Told::default();
        let mut server = DatabaseServer::new("main", DatabaseServerSpec::default());
        server.metadata.generation = Some(1);
        assert!(told.is_news("main", Some(&server)), "it is new");
        server.status = Some(DatabaseServerStatus {
            usage: Some(api::server::ServerUsage::default()),
            ..DatabaseServerStatus::default()
        });
        assert!(!told.is_news("main", Some(&server)), "only counted");
        if let Some(status) = &mut server.status {
            status.version = Some("17.2".to_owned());
        }
        assert!(told.is_news("main", Some(&server)), "another version");
        server.metadata.generation = Some(2);
        assert!(told.is_news("main", Some(&server)), "another spec");
        assert!(!told.is_news("main", Some(&server)));
        assert!(told.is_news("main", None), "gone");
        assert!(!told.is_news("main", None));
    }
}
