//! Admin connections, kept for a short while. Bounded for each server and admin, whatever the
//! databases: a claim's own database is visited once and must not hold connections for long.
//! A waiter gives up after the connect timeout; who holds a session while asking for another must
//! leave room for that.

use std::{
    collections::{HashMap, hash_map::RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use engine::{address::Address, dsn::Dsn, timeouts::Timeouts};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use crate::{
    connect::{Purpose, fingerprint, open},
    error::{Error, Kind},
    session::Session,
};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How long an unused connection may take to show a sign of life, or to close.
const SIGN: Duration = Duration::from_secs(1);

/// Clones share their connections.
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

/// The connections of one server and admin.
pub(crate) struct Rack {
    permits: Arc<Semaphore>,
    limit: usize,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    database: String,
    connection: PgConnection,
    since: Instant,
}

impl Admins {
    /// At most `limit` sessions, used and unused, for each server and admin.
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

    /// A session in the DSN's database: one that was left here, or a new one.
    pub async fn acquire(&self, dsn: &Dsn) -> Result<Session, Error> {
        let rack = self.rack_of(dsn);
        let connect = async {
            let permit = rack.permit(self.timeouts.connect).await?;
            let connection = match rack.reuse(dsn.database.as_str()).await {
                Some(connection) => connection,
                None => open(dsn, Purpose::Work, self.timeouts)
                    .await
                    .map_err(as_admin)?,
            };
            let rack = Arc::clone(&rack);
            Ok(Session::new(connection, dsn, self.timeouts, rack, permit))
        };
        let operation = || format!("connecting to database {}", dsn.database);
        connect
            .await
            .map_err(|kind: Kind| kind.at(&dsn.address, operation()))
    }

    /// Closes what has been unused for too long, for ever: to be run beside the work.
    pub async fn reap(&self) {
        loop {
            sleep(IDLE / 6).await;
            for idle in self.expired(Instant::now()) {
                // Politeness only: a server that does not answer loses the connection anyway.
                let _ = timeout(SIGN, idle.connection.close()).await;
            }
        }
    }

    fn expired(&self, now: Instant) -> Vec<Idle> {
        let mut expired = Vec::new();
        locked(&self.racks).retain(|_, rack| {
            let mut idle = locked(&rack.idle);
            let is_old = |idle: &mut Idle| now.duration_since(idle.since) > IDLE;
            expired.extend(idle.extract_if(.., is_old));
            !idle.is_empty() || Arc::strong_count(rack) > 1
        });
        expired
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

/// To an admin it is all the same whose bound on sessions is reached.
fn as_admin(kind: Kind) -> Kind {
    match kind {
        Kind::LoginFull => Kind::Exhausted,
        kind => kind,
    }
}

impl Rack {
    fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit,
            idle: Mutex::default(),
        }
    }

    async fn permit(&self, limit: Duration) -> Result<OwnedSemaphorePermit, Kind> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        match timeout(limit, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Kind::Exhausted),
        }
    }

    /// The youngest connection to `database` that gives a sign of life, which costs no statement.
    /// Where there is none, makes room for one.
    async fn reuse(&self, database: &str) -> Option<PgConnection> {
        while let Some(mut idle) = self.take(database) {
            match timeout(SIGN, idle.connection.ping()).await {
                Ok(Ok(())) => return Some(idle.connection),
                Ok(Err(_)) => {}
                // What one does not answer the others will not either, one timeout after another.
                Err(_) => locked(&self.idle).clear(),
            }
        }
        let in_use = self.limit.saturating_sub(self.permits.available_permits());
        let mut idle = locked(&self.idle);
        if !idle.is_empty() && idle.len() + in_use > self.limit {
            idle.remove(0);
        }
        None
    }

    fn take(&self, database: &str) -> Option<Idle> {
        let mut idle = locked(&self.idle);
        let index = idle.iter().rposition(|idle| idle.database == database)?;
        Some(idle.remove(index))
    }

    /// Takes back a connection that is as good as new. They stand in the order of their return.
    pub(crate) fn put(&self, database: String, connection: PgConnection) {
        let since = Instant::now();
        locked(&self.idle).push(Idle {
            database,
            connection,
            since,
        });
    }
}

/// No code panics while it holds one of these locks; if any did, the maps would still be whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
