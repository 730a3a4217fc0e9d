//! What every reconcile shares.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use api::{claim::DatabaseClaim, config::Config, role_claim::DbRoleClaim, server::DatabaseServer};
use arc_swap::ArcSwap;
use engine::{
    asked::Asked,
    password::PasswordSource,
    wishes::{ClaimId, ClaimKind},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Client, ResourceExt, core::PartialObjectMeta, runtime::reflector::ObjectRef};
use tokio::sync::Semaphore;

use crate::{
    bound::Bound, engines::Engines, events::Events, hook::Hook, limits::Limits, metrics::Metrics,
    pace::Paces, quota::Reservations, server::Keyring, tripwire::Tripwire, watch::Cache,
};

/// What is set once, at the start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The class of claims that are served.
    pub class: String,
    /// The controller's own namespace.
    pub namespace: String,
    /// The namespaces that are watched; none means all.
    pub watch_namespaces: Vec<String>,
    /// Name of this replica, for the Lease and Events.
    pub identity: String,
    /// Whether pods are asked which credential they use.
    pub follows_consumers: bool,
    /// Whether role claims share claims of other namespaces that say nothing of it.
    pub role_claims_from_any_namespace: bool,
}

pub struct Context {
    pub client: Client,
    pub settings: Settings,
    pub config: ArcSwap<Config>,
    pub servers: Cache<DatabaseServer>,
    pub namespaces: Cache<PartialObjectMeta<Namespace>>,
    pub engines: Engines,
    pub limits: Limits,
    /// Bounds the claims that are worked on at once, whatever their servers.
    pub workers: Arc<Bound>,
    /// What `maxConnectionsPerServer` can be raised to while this process runs.
    pub most_connections: u16,
    pub metrics: Metrics,
    pub events: Events,
    pub passwords: Box<dyn PasswordSource>,
    pub hook: Box<dyn Hook>,
    pub memory: Memories,
    pub keyring: Keyring,
    /// The claims of every watched scope; empty until this replica leads.
    pub claims: OnceLock<Vec<Cache<DatabaseClaim>>>,
    /// The role claims of every watched scope; empty until this replica leads.
    pub role_claims: OnceLock<Vec<Cache<DbRoleClaim>>>,
    /// The Secrets of role claims in every watched scope; empty until this replica leads.
    pub copies: OnceLock<Vec<Cache<PartialObjectMeta<Secret>>>>,
    /// Places on servers with a quota that no status tells of yet.
    pub reservations: Reservations,
    /// What is remembered of refused logins.
    pub tripwire: Tripwire,
    /// Turns of rotations on servers that bound them.
    pub paces: Paces,
    /// Bounds the claims whose pods are asked at once which credential they use.
    pub asking: Semaphore,
    pub started_at: Timestamp,
}

/// One watched scope, a namespace or the whole cluster, with its caches.
pub struct Scope {
    pub context: Arc<Context>,
    pub claims: Cache<DatabaseClaim>,
    pub secrets: Cache<PartialObjectMeta<Secret>>,
}

impl Context {
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The claims of every scope; `None` while not all of them are known.
    pub fn whole_claims(&self) -> Option<&[Cache<DatabaseClaim>]> {
        let caches = self.claims.get()?;
        caches.iter().all(Cache::is_whole_now).then_some(caches)
    }

    /// The role claims of every scope; `None` while not all of them are known.
    pub fn whole_role_claims(&self) -> Option<&[Cache<DbRoleClaim>]> {
        let caches = self.role_claims.get()?;
        caches.iter().all(Cache::is_whole_now).then_some(caches)
    }

    /// Waits until the claims, role claims and their Secrets of every scope are known: what is merely not cached
    /// yet must not look deleted.
    pub async fn is_synced(&self) {
        for claims in self.claims.get().into_iter().flatten() {
            claims.is_whole().await;
        }
        for role_claims in self.role_claims.get().into_iter().flatten() {
            role_claims.is_whole().await;
        }
        for copies in self.copies.get().into_iter().flatten() {
            copies.is_whole().await;
        }
        self.servers.is_whole().await;
        self.namespaces.is_whole().await;
    }

    /// The claim of any scope.
    pub fn claim(&self, claim: &ObjectRef<DatabaseClaim>) -> Option<Arc<DatabaseClaim>> {
        let mut caches = self.claims.get().into_iter().flatten();
        caches.find_map(|claims| claims.get(claim))
    }

    /// The role claim of any scope.
    pub fn role_claim(&self, role_claim: &ObjectRef<DbRoleClaim>) -> Option<Arc<DbRoleClaim>> {
        let mut caches = self.role_claims.get().into_iter().flatten();
        caches.find_map(|all| all.get(role_claim))
    }

    /// Whether a role claim shares that claim's database.
    pub fn is_shared(&self, claim: &ObjectRef<DatabaseClaim>) -> bool {
        let namespace = claim.namespace.as_deref().unwrap_or_default();
        let is_of = |role_claim: &DbRoleClaim| role_claim.shares(namespace, &claim.name);
        let mut caches = self.role_claims.get().into_iter().flatten();
        caches.any(|all| all.find(is_of).is_some())
    }

    /// Whether the claim or role claim is still there.
    pub fn lives(&self, id: &ClaimId) -> bool {
        let (name, namespace) = (&id.name, &id.namespace);
        let uid = match id.kind {
            ClaimKind::Claim => {
                let claim = self.claim(&ObjectRef::new(name).within(namespace));
                claim.and_then(|claim| claim.uid())
            }
            ClaimKind::RoleClaim => {
                let role_claim = self.role_claim(&ObjectRef::new(name).within(namespace));
                role_claim.and_then(|role_claim| role_claim.uid())
            }
            ClaimKind::Server => {
                let server = self.servers.get(&ObjectRef::new(name));
                server.and_then(|server| Some(ClaimId::of_server(&server, namespace).ok()?.uid))
            }
        };
        uid.as_ref() == Some(&id.uid)
    }

    /// Forgets what was remembered of objects that are gone. The caches say which are.
    pub fn prune(&self) {
        let Some(claims) = self.whole_claims() else {
            return;
        };
        let claims = claims.iter().flat_map(|claims| claims.state());
        let servers = self.servers.state();
        let role_claims = self.role_claims.get().into_iter().flatten();
        let role_claims = role_claims.flat_map(|role_claims| role_claims.state());
        let alive: HashSet<_> = claims
            .filter_map(|claim| claim.uid())
            .chain(servers.iter().filter_map(|server| server.uid()))
            .chain(role_claims.filter_map(|role_claim| role_claim.uid()))
            .collect();
        self.memory.prune(&alive);
        self.keyring.prune(|uid| alive.contains(uid));
        self.tripwire.prune(&alive);
        self.reservations.prune(|id| self.lives(id));
        self.paces.prune(Instant::now());
        self.limits.prune(Instant::now());
    }

    /// Labels of a namespace, from the cache.
    pub fn namespace_labels(&self, name: &str) -> std::collections::BTreeMap<String, String> {
        self.namespaces
            .get(&ObjectRef::new(name))
            .and_then(|namespace| namespace.metadata.labels.clone())
            .unwrap_or_default()
    }
}

impl Scope {
    /// Waits until every cache was filled once.
    pub async fn is_synced(&self) {
        self.secrets.is_whole().await;
        self.context.is_synced().await;
    }
}

/// What this process remembers of a claim. Losing it costs nothing but patience.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Failed attempts in a row.
    pub attempts: u32,
    /// Failed attempts to remove what a deleted claim leaves.
    pub farewells: u32,
    /// When the published credential was last proved.
    pub checked_at: Option<Timestamp>,
    /// Set after a failure or a deferral: nothing happens before its end unless the claim changes.
    pub rest: Option<Rest>,
    /// Where the questions to the claim's pods stand.
    pub round: Option<Round>,
    /// The newest credential that this process revoked, and the question that it answered last:
    /// definitions older than the controller drop both from status, and nothing may be done for
    /// ever because of that.
    pub revoked: Option<i64>,
    pub inspected: Option<String>,
    /// The claim as the API server returned it after our last write, until the cache has it.
    written: Option<Arc<DatabaseClaim>>,
}

/// A pause that a pass decided on. Without it, the event of our own status write would end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    pub until: Timestamp,
    /// What the claim and its Secret were; another value ends the pause.
    pub generation: Option<i64>,
    pub asked: Asked,
    pub secret_version: Option<String>,
}

/// Where the questions to a claim's pods about one credential stand.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub generation: i64,
    pub asked: u32,
    /// `None` while there is nothing to ask.
    pub due: Option<Timestamp>,
    /// Whether an Event named those who lag.
    pub is_told: bool,
}

impl Round {
    pub fn new(generation: i64, asked: u32, due: Timestamp) -> Self {
        Self {
            generation,
            asked,
            due: Some(due),
            is_told: false,
        }
    }
}

#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<String, Memory>>);

impl Memories {
    pub fn get(&self, uid: &str) -> Memory {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(uid).cloned().unwrap_or_default()
    }

    pub fn update(&self, uid: &str, change: impl FnOnce(&mut Memory)) -> Memory {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = all.entry(uid.to_owned()).or_default();
        change(memory);
        memory.clone()
    }

    /// Remembers a claim that we just wrote.
    pub fn wrote(&self, claim: &DatabaseClaim) {
        if let Some(uid) = &claim.metadata.uid {
            self.update(uid, |memory| memory.written = Some(Arc::new(claim.clone())));
        }
    }

    /// The newer of the cached claim and the one we wrote last. A Secret's event can overtake the
    /// claim's own, and must not be judged by a status that is already old.
    pub fn freshest(&self, cached: Arc<DatabaseClaim>) -> Arc<DatabaseClaim> {
        let version = |claim: &DatabaseClaim| claim.resource_version()?.parse::<u64>().ok();
        let uid = cached.metadata.uid.clone().unwrap_or_default();
        let Some(written) = self.get(&uid).written else {
            return cached;
        };
        if version(&written) > version(&cached) && version(&cached).is_some() {
            return written;
        }
        self.update(&uid, |memory| memory.written = None);
        cached
    }

    /// Ends every pause: a server or the configuration changed.
    pub fn wake(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for memory in all.values_mut() {
            memory.rest = None;
        }
    }

    /// Forgets all others.
    pub fn prune(&self, alive: &HashSet<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|uid, _| alive.contains(uid));
        all.shrink_to_fit();
    }

    pub fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_forgotten() {
        let memories = Memories::default();
        for uid in ["here", "gone"] {
            memories.update(uid, |memory| memory.attempts = 3);
        }
        memories.prune(&HashSet::from(["here".to_owned()]));
        assert_eq!(memories.get("here").attempts, 3);
        assert_eq!(memories.get("gone").attempts, 0);
    }
}
