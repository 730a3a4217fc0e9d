//! Admin clients, kept for a short while. Bounded for each server and admin; the driver keeps the
//! connections of one client, and this keeps the clients.
//! A waiter gives up after the connect timeout; who holds a session while asking for another must
//! leave room for that.

use std::{
    collections::{BTreeSet, HashMap, hash_map::RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use engine::{address::Address, catalog::Feature, dsn::Dsn, timeouts::Timeouts};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use crate::{
    connect::{Connection, Options, Purpose, fingerprint},
    error::{Error, Kind},
    session::Session,
};

/// How long an unused client is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Clones share their clients.
#[derive(Clone)]
pub struct Admins {
    racks: Arc<Mutex<HashMap<Identity, Arc<Rack>>>>,
    fingerprints: RandomState,
    timeouts: Timeouts,
    limit: usize,
}

/// Who connects to which server. The password is here as a keyed hash that means nothing outside
/// this process, so that a changed password starts afresh.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    address: Address,
    login: String,
    password: u64,
}

/// The client of one server and admin.
pub(crate) struct Rack {
    permits: Arc<Semaphore>,
    client: Mutex<Option<Arc<Connection>>>,
    /// Leases of claims whose sessions were dropped with nothing under way, by key: the next
    /// session of this process takes them over instead of waiting for their end.
    leases: Mutex<HashMap<i64, String>>,
    lacks: Mutex<BTreeSet<Feature>>,
    used: Mutex<Instant>,
}

impl Admins {
    /// At most `limit` sessions for each server and admin.
    pub fn new(timeouts: Timeouts, limit: usize) -> Self {
        Self {
            racks: Arc::default(),
            fingerprints: RandomState::new(),
            timeouts,
            limit: limit.max(1),
        }
    }

    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// A session of the DSN's login. A client that was left here may have lost its login, as after
    /// a change of the admin's password, and is replaced once.
    pub async fn acquire(&self, dsn: &Dsn) -> Result<Session, Error> {
        let rack = self.rack_of(dsn);
        let connect = async {
            let permit = rack.permit(self.timeouts.connect).await?;
            if let Some(connection) = rack.client() {
                match self.session(dsn, &rack, connection).await {
                    Ok(session) => return Ok(session.with_permit(permit)),
                    Err(Kind::LoggedOut | Kind::RefusedLogin | Kind::NotReady(_)) => {}
                    Err(kind) => return Err(kind),
                }
            }
            let connections = u32::try_from(self.limit).unwrap_or(u32::MAX);
            let purpose = Purpose::Work { connections };
            let options = Options::of(dsn, purpose, self.timeouts).await?;
            let connection = Arc::new(options.open()?);
            let session = self.session(dsn, &rack, Arc::clone(&connection)).await?;
            rack.keep(connection);
            Ok(session.with_permit(permit))
        };
        let operation = || format!("connecting as {}", dsn.credential.login);
        connect
            .await
            .map_err(|kind: Kind| kind.at(&dsn.address, operation()))
    }

    async fn session(
        &self,
        dsn: &Dsn,
        rack: &Arc<Rack>,
        connection: Arc<Connection>,
    ) -> Result<Session, Kind> {
        let outcome = Session::open(
            dsn,
            self.timeouts,
            Arc::clone(rack),
            Arc::clone(&connection),
        )
        .await;
        if outcome.is_err() {
            rack.forget(&connection);
        }
        outcome
    }

    /// Closes what has been unused for too long, for ever: to be run beside the work.
    pub async fn reap(&self) {
        loop {
            sleep(IDLE / 6).await;
            let now = Instant::now();
            // A client that nobody holds closes its connections by itself.
            locked(&self.racks).retain(|_, rack| {
                Arc::strong_count(rack) > 1 || now.duration_since(*locked(&rack.used)) < IDLE
            });
        }
    }

    fn rack_of(&self, dsn: &Dsn) -> Arc<Rack> {
        let identity = Identity {
            address: dsn.address.clone(),
            login: dsn.credential.login.to_string(),
            password: fingerprint(dsn, &self.fingerprints),
        };
        let mut racks = locked(&self.racks);
        let new = || Arc::new(Rack::new(self.limit));
        Arc::clone(racks.entry(identity).or_insert_with(new))
    }
}

impl Rack {
    fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            client: Mutex::default(),
            leases: Mutex::default(),
            lacks: Mutex::default(),
            used: Mutex::new(Instant::now()),
        }
    }

    async fn permit(&self, limit: Duration) -> Result<OwnedSemaphorePermit, Kind> {
        *locked(&self.used) = Instant::now();
        let permit = Arc::clone(&self.permits).acquire_owned();
        match timeout(limit, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Kind::Exhausted),
        }
    }

    fn client(&self) -> Option<Arc<Connection>> {
        locked(&self.client).clone()
    }

    fn keep(&self, connection: Arc<Connection>) {
        *locked(&self.client) = Some(connection);
    }

    /// Lets go of a client that is of no use any more, unless there is a newer one.
    pub(crate) fn forget(&self, connection: &Arc<Connection>) {
        let mut client = locked(&self.client);
        if client
            .as_ref()
            .is_some_and(|kept| Arc::ptr_eq(kept, connection))
        {
            *client = None;
        }
    }

    /// What the server is known to lack.
    pub(crate) fn lacks(&self) -> BTreeSet<Feature> {
        locked(&self.lacks).clone()
    }

    /// Notes that the server lacks something. `false` if that was known.
    pub(crate) fn note_lack(&self, feature: Feature) -> bool {
        locked(&self.lacks).insert(feature)
    }

    pub(crate) fn leave_lease(&self, key: i64, holder: String) {
        locked(&self.leases).insert(key, holder);
    }

    pub(crate) fn left_lease(&self, key: i64) -> Option<String> {
        locked(&self.leases).remove(&key)
    }
}

/// No code panics while it holds one of these locks; if any did, what they guard would be whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
