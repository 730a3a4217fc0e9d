//! Narrow watches: claims, Secrets with our label as metadata only, DatabaseServers, labels of
//! namespaces. Nothing lists all Secrets. What a watch delivers becomes requests to reconcile.

mod trim;

use std::{fmt::Debug, ops::Deref};

use api::{
    claim::DatabaseClaim,
    names::{annotation, label},
    role_claim::DbRoleClaim,
};
use engine::wishes::ClaimKind;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use self::trim::Trim;

/// Requests to reconcile claims.
pub type Requests<K> = BoxStream<'static, Result<ObjectRef<K>, watcher::Error>>;

/// The objects that a watch keeps. Knows by itself when it is whole: `Store::wait_until_ready`
/// wakes only the last of several who wait (kube-runtime 5.0, `utils/delayed_init.rs`).
pub struct Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store: Store<K>,
    whole: CancellationToken,
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Waits until the first list was taken in.
    pub async fn is_whole(&self) {
        self.whole.cancelled().await;
    }

    /// Whether the first list was taken in.
    pub fn is_whole_now(&self) -> bool {
        self.whole.is_cancelled()
    }
}

impl<K> Clone for Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            whole: self.whole.clone(),
        }
    }
}

impl<K> Deref for Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    type Target = Store<K>;

    fn deref(&self) -> &Store<K> {
        &self.store
    }
}

/// Objects in one answer of the first list. The largest answer decides how much memory the process
/// keeps for good: the allocator rarely gives back what was used once.
pub(crate) const PAGE: u32 = 100;

/// Watches one kind into a cache. The stream gives what was touched, deleted objects too, and must
/// be polled for the cache to move.
pub fn cached<K>(api: Api<K>, config: watcher::Config) -> (Cache<K>, Touched<K>)
where
    K: Trim + Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let whole = CancellationToken::new();
    let told = whole.clone();
    let touched = watcher(api, config.page_size(PAGE))
        .default_backoff()
        .modify(K::trim)
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) {
                told.cancel();
            }
        })
        .touched_objects()
        .boxed();
    (Cache { store, whole }, touched)
}

/// Objects as a watch touches them.
pub type Touched<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// An API of one namespace, or of all.
pub fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The configuration of the watch on the Secrets that one kind publishes.
pub fn published_secrets(kind: ClaimKind) -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", label::MANAGED_BY, kind.manager()))
}

/// Requests for the claims themselves.
pub fn own<K>(touched: Touched<K>) -> Requests<K>
where
    K: Resource<DynamicType = ()> + Send + 'static,
{
    touched
        .map_ok(|object| ObjectRef::from_obj(&object))
        .boxed()
}

/// Requests for the claims whose Secret was touched.
pub fn of_secrets<K: Publisher>(
    touched: Touched<PartialObjectMeta<Secret>>,
    claims: Cache<K>,
) -> Requests<K> {
    touched
        .map_ok(move |secret| {
            let claim = claim_of(&secret, &claims);
            futures::stream::iter(claim.map(Ok))
        })
        .try_flatten()
        .boxed()
}

/// A kind that publishes Secrets.
pub trait Publisher:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Send + Sync + 'static
{
    fn secret_name(&self) -> &str;
}

impl Publisher for DatabaseClaim {
    fn secret_name(&self) -> &str {
        self.secret_name()
    }
}

impl Publisher for DbRoleClaim {
    fn secret_name(&self) -> &str {
        self.secret_name()
    }
}

/// The claim that published a Secret: named by its annotation, else the one that names the Secret.
pub fn claim_of<K: Publisher>(
    secret: &PartialObjectMeta<Secret>,
    claims: &Cache<K>,
) -> Option<ObjectRef<K>> {
    let namespace = secret.namespace()?;
    if let Some(name) = secret.annotations().get(annotation::CLAIM_NAME) {
        return Some(ObjectRef::new(name).within(&namespace));
    }
    let name = secret.name_any();
    let found = claims.find(|claim| {
        claim.namespace().as_deref() == Some(&namespace) && claim.secret_name() == name
    });
    found.map(|claim| ObjectRef::from_obj(claim.as_ref()))
}

/// Requests for every cached claim that `concerns`, whenever `trigger` fires.
pub fn all_on<T: Send + 'static, K: Publisher>(
    trigger: impl Stream<Item = T> + Send + 'static,
    claims: Cache<K>,
    concerns: impl Fn(&T, &K) -> bool + Send + Sync + 'static,
) -> Requests<K> {
    trigger
        .flat_map(move |event| {
            let found = claims.state();
            let concerned: Vec<_> = found
                .iter()
                .filter(|claim| concerns(&event, claim))
                .map(|claim| Ok(ObjectRef::from_obj(claim.as_ref())))
                .collect();
            futures::stream::iter(concerned)
        })
        .boxed()
}

/// Drives a cache that triggers nothing by itself.
pub async fn drive<K>(mut touched: Touched<K>, token: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => return,
            event = touched.next() => match event {
                Some(Ok(_)) => {}
                Some(Err(err)) => tracing::debug!(error = %err, "watch interrupted"),
                None => return,
            }
        }
    }
}

/// The same requests from several sources.
pub fn merged<K: Resource>(
    sources: Vec<Requests<K>>,
) -> impl Stream<Item = Result<ObjectRef<K>, watcher::Error>> + Send {
    futures::stream::select_all(sources)
}
