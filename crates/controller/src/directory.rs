//! Which Secret each claim publishes, known to every replica: what the webhook answers from.
//!
//! The reconcilers' caches exist on the leader only. Beside them this keeps one short row a claim,
//! so that a replica which stands by stays small, and the leader hardly grows.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim};
use engine::address::Engine;
use futures::{StreamExt, future::join_all, pin_mut};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::watch as watches;

/// Claims, role claims and leaving namespaces, as far as others ask for them.
#[derive(Debug)]
pub struct Directory {
    /// One table for each watched namespace, or one for all.
    role_claims: Vec<Table<Published>>,
    claims: Vec<Table<Published>>,
    /// Those that are being deleted.
    leaving: Table<()>,
    news: watch::Sender<()>,
}

impl Directory {
    /// An empty directory of these namespaces; none means all.
    pub fn new(namespaces: &[String]) -> Self {
        let news = watch::Sender::new(());
        let table = |scope| Table::new(scope, news.clone());
        let tables = || match namespaces {
            [] => vec![table(None)],
            names => names.iter().cloned().map(Some).map(table).collect(),
        };
        Self {
            role_claims: tables(),
            claims: tables(),
            leaving: Table::new(None, news.clone()),
            news,
        }
    }

    /// Keeps the directory up to date until the token ends.
    pub async fn follow(&self, client: &Client, token: &CancellationToken) {
        let role_claims = self.role_claims.iter().map(|table| {
            let api = watches::scoped(client, table.scope.as_deref());
            table.follow(api, |claim| Some(of_role_claim(claim)), token)
        });
        let claims = self.claims.iter().map(|table| {
            let api = watches::scoped(client, table.scope.as_deref());
            table.follow(api, |claim| Some(of_claim(claim)), token)
        });
        let namespaces = Api::all(client.clone());
        let leaving = self.leaving.follow(namespaces, leaving, token);
        tokio::join!(join_all(role_claims), join_all(claims), leaving);
    }

    /// Waits until everything was listed once.
    pub async fn is_whole(&self) {
        for table in self.publishers() {
            table.whole.cancelled().await;
        }
        self.leaving.whole.cancelled().await;
    }

    /// The Secret that the claim or role claim of that name publishes, and what it leads to; the
    /// role claim wins.
    pub fn published(&self, namespace: &str, claim: &str) -> Option<(String, Engine)> {
        let key = (namespace.to_owned(), claim.to_owned());
        let (secret, leads_to) = self.publishers().find_map(|table| {
            let rows = table.read();
            rows.get(&key)
                .map(|row| (row.secret.clone(), row.leads_to.clone()))
        })?;
        let engine = match leads_to {
            LeadsTo::Engine(engine) => engine,
            LeadsTo::Claim(claim) => self.engine_of(&claim).unwrap_or(Engine::Postgres),
        };
        Some((secret, engine))
    }

    fn engine_of(&self, claim: &Key) -> Option<Engine> {
        self.claims.iter().find_map(|table| {
            let rows = table.read();
            match rows.get(claim)?.leads_to {
                LeadsTo::Engine(engine) => Some(engine),
                LeadsTo::Claim(_) => None,
            }
        })
    }

    /// The claim or role claim of that class which publishes the Secret; the role claim wins.
    pub fn claim_of(&self, namespace: &str, secret: &str, class: &str) -> Option<String> {
        let is_it = |(key, row): &(&Key, &Published)| {
            key.0 == namespace && row.secret == secret && row.class == class
        };
        self.publishers().find_map(|table| {
            let rows = table.read();
            rows.iter().find(is_it).map(|(key, _)| key.1.clone())
        })
    }

    /// Whether the namespace is being deleted.
    pub fn is_leaving(&self, namespace: &str) -> bool {
        let key = (String::new(), namespace.to_owned());
        self.leaving.read().contains_key(&key)
    }

    /// Changes with every row that was written.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Who comes first wins.
    fn publishers(&self) -> impl Iterator<Item = &Table<Published>> {
        self.role_claims.iter().chain(&self.claims)
    }
}

/// Namespace and name; objects without a namespace have an empty one.
type Key = (String, String);

/// What is kept of a claim or role claim.
#[derive(Debug)]
struct Published {
    secret: String,
    class: String,
    leads_to: LeadsTo,
}

/// What a Secret leads to.
#[derive(Debug, Clone)]
enum LeadsTo {
    Engine(Engine),
    /// Wherever that claim's does.
    Claim(Key),
}

fn of_role_claim(claim: &DbRoleClaim) -> Published {
    let source = &claim.spec.source_database_claim;
    Published {
        secret: claim.secret_name().to_owned(),
        class: claim.class().to_owned(),
        leads_to: LeadsTo::Claim((source.namespace.clone(), source.name.clone())),
    }
}

fn of_claim(claim: &DatabaseClaim) -> Published {
    let type_ = claim.spec.type_.as_deref().unwrap_or_default();
    Published {
        secret: claim.secret_name().to_owned(),
        class: claim.class().to_owned(),
        leads_to: LeadsTo::Engine(Engine::of_type(type_).unwrap_or(Engine::Postgres)),
    }
}

fn leaving(namespace: &PartialObjectMeta<Namespace>) -> Option<()> {
    namespace.metadata.deletion_timestamp.as_ref().map(|_| ())
}

/// The rows of one kind in one scope.
#[derive(Debug)]
struct Table<Row> {
    /// A namespace, or all.
    scope: Option<String>,
    rows: RwLock<HashMap<Key, Row>>,
    whole: CancellationToken,
    news: watch::Sender<()>,
}

impl<Row> Table<Row> {
    fn new(scope: Option<String>, news: watch::Sender<()>) -> Self {
        Self {
            scope,
            rows: RwLock::default(),
            whole: CancellationToken::new(),
            news,
        }
    }

    /// A poisoned lock guards a map that is whole between any two statements.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Key, Row>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Key, Row>> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what `row` makes of each object, until the token ends.
    async fn follow<K>(&self, api: Api<K>, row: fn(&K) -> Option<Row>, token: &CancellationToken)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let config = watcher::Config::default().page_size(watches::PAGE);
        let events = watcher(api, config).default_backoff();
        let events = events.take_until(token.cancelled());
        pin_mut!(events);
        // A new list, while it is not whole: the former rows answer until then.
        let mut listed = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    listed.extend(row(&object).map(|row| (key(&object), row)));
                }
                Ok(watcher::Event::InitDone) => {
                    *self.write() = std::mem::take(&mut listed);
                    self.whole.cancel();
                    self.news.send_replace(());
                }
                Ok(watcher::Event::Apply(object)) => self.set(key(&object), row(&object)),
                Ok(watcher::Event::Delete(object)) => self.set(key(&object), None),
                Err(err) => tracing::debug!(error = %err, "watch interrupted"),
            }
        }
    }

    fn set(&self, key: Key, row: Option<Row>) {
        let mut rows = self.write();
        match row {
            Some(row) => rows.insert(key, row),
            None => rows.remove(&key),
        };
        drop(rows);
        self.news.send_replace(());
    }
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, secret: &str) -> DatabaseClaim {
        let mut claim = DatabaseClaim::new(name, api::claim::DatabaseClaimSpec::default());
        claim.metadata.namespace = Some("store".to_owned());
        claim.spec.secret_name = Some(secret.to_owned());
        claim
    }

    fn role_claim(name: &str, secret: Option<&str>) -> DbRoleClaim {
        let mut claim = DbRoleClaim::new(name, api::role_claim::DbRoleClaimSpec::default());
        claim.metadata.namespace = Some("store".to_owned());
        claim.spec.secret_name = secret.map(str::to_owned);
        claim
    }

    fn directory(claims: &[DatabaseClaim], role_claims: &[DbRoleClaim]) -> Directory {
        let directory = Directory::new(&[]);
        for claim in claims {
            directory.claims[0].set(key(claim), Some(of_claim(claim)));
        }
        for claim in role_claims {
            directory.role_claims[0].set(key(claim), Some(of_role_claim(claim)));
        }
        directory
    }

    #[test]
    fn row_53_the_role_claim_wins_and_its_own_name_is_the_default() {
        let claims = [claim("shop", "orders-dsn")];
        let only_claims = directory(&claims, &[]);
        let secret = |directory: &Directory, namespace, claim| {
            let published = directory.published(namespace, claim);
            published.map(|(secret, _)| secret)
        };
        let found = secret(&only_claims, "store", "shop");
        assert_eq!(found.as_deref(), Some("orders-dsn"));
        assert_eq!(secret(&only_claims, "store", "other"), None);
        assert_eq!(secret(&only_claims, "elsewhere", "shop"), None);
        for (wished, name) in [(None, "shop"), (Some(""), "shop"), (Some("clerk"), "clerk")] {
            let both = directory(&claims, &[role_claim("shop", wished)]);
            assert_eq!(secret(&both, "store", "shop").as_deref(), Some(name));
        }
    }

    #[test]
    fn a_role_claim_leads_where_its_source_does() {
        let mut source = claim("shop", "orders-dsn");
        source.spec.type_ = Some("mongodb".to_owned());
        let mut sharer = role_claim("reports", None);
        let engine = |sharer: &DbRoleClaim| {
            let directory = directory(&[source.clone()], std::slice::from_ref(sharer));
            directory
                .published("store", "reports")
                .map(|(_, engine)| engine)
        };
        assert_eq!(engine(&sharer), Some(Engine::Postgres));
        sharer.spec.source_database_claim.name = "shop".to_owned();
        sharer.spec.source_database_claim.namespace = "store".to_owned();
        assert_eq!(engine(&sharer), Some(Engine::Mongo));
    }

    #[test]
    fn row_60_a_secret_leads_to_the_claim_of_the_class_that_publishes_it() {
        let directory = directory(&[claim("shop", "orders-dsn")], &[]);
        let found = |namespace, secret, class| directory.claim_of(namespace, secret, class);
        let default = found("store", "orders-dsn", "default");
        assert_eq!(default.as_deref(), Some("shop"));
        assert_eq!(found("store", "orders-dsn", "blue"), None);
        assert_eq!(found("store", "shop", "default"), None);
        assert_eq!(found("elsewhere", "orders-dsn", "default"), None);
    }

    #[test]
    fn row_43_only_namespaces_that_go_are_listed() {
        let directory = Directory::new(&[]);
        let mut namespace = PartialObjectMeta::<Namespace>::default();
        namespace.metadata.name = Some("store".to_owned());
        directory.leaving.set(key(&namespace), leaving(&namespace));
        assert!(!directory.is_leaving("store"));
        namespace.metadata.deletion_timestamp =
            serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
        directory.leaving.set(key(&namespace), leaving(&namespace));
        assert!(directory.is_leaving("store"));
        directory.leaving.set(key(&namespace), None);
        assert!(!directory.is_leaving("store"));
    }
}
