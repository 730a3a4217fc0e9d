//! The fence of a rotation. MongoDB has no lock that ends with a session, so a claim's lock is a
//! document that says who may change the claim until when, by the server's clock, known to a
//! majority. It is taken anew before each change, and each change is given less time than the
//! lease: who lost it can change nothing any more.
//! What it cannot stop is a command that the network delays past the lease; step 7 of a rotation
//! is for that.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::dsn::LOGINS_DATABASE;
use mongodb::bson::{Document, doc, oid::ObjectId};
use tokio::time::sleep;

use crate::{
    admins::Rack,
    error::{Error, Kind},
    session::{Session, millis},
};

/// Where leases and reservations stand, beside the logins themselves.
pub(crate) const LOCKS: &str = "locks";

/// Between two looks at a lease that somebody else has.
const PAUSE: Duration = Duration::from_millis(100);

/// How much longer a lease is than one command may take.
const MARGIN: Duration = Duration::from_secs(3);

/// A session that holds a claim's lock. Dropped, it leaves the lock to this process if it knows
/// what became of its last command, else to the clock.
pub struct Locked {
    session: Session,
    lease: Lease,
}

struct Lease {
    rack: Arc<Rack>,
    key: i64,
    holder: String,
    /// Whether nothing of it is under way on the server.
    is_settled: bool,
}

impl Session {
    /// Waits for a claim's lock, at most as long as `Timeouts::lock`.
    pub async fn lock(self, key: i64) -> Result<Locked, Error> {
        let rack = Arc::clone(self.rack());
        let left = rack.left_lease(key);
        let lease = Lease {
            rack,
            key,
            holder: left.unwrap_or_else(|| ObjectId::new().to_hex()),
            is_settled: true,
        };
        let mut locked = Locked {
            session: self,
            lease,
        };
        let started = Instant::now();
        let outcome = loop {
            match locked.take().await {
                Ok(true) => break Ok(()),
                Ok(false) if started.elapsed() >= locked.timeouts().lock => {
                    break Err(Kind::Fenced);
                }
                Ok(false) => sleep(PAUSE).await,
                Err(kind) => break Err(kind),
            }
        };
        match outcome {
            Ok(()) => Ok(locked),
            Err(kind) => Err(locked.error(kind, "locking the claim")),
        }
    }
}

impl Locked {
    /// Takes or renews the lease. `false` if somebody else has it.
    async fn take(&mut self) -> Result<bool, Kind> {
        let own = self.lease.document();
        match self.write_lease(own, Create::IfAbsent).await {
            Ok(_) => return Ok(true),
            Err(Kind::Changed(_)) => {}
            Err(kind) => return Err(kind),
        }
        let ended = doc! { "_id": self.lease.key, "$expr": { "$lte": ["$until", "$$NOW"] } };
        let answer = self.write_lease(ended, Create::Never).await?;
        Ok(answer.get_document("value").is_ok())
    }

    /// Makes sure that the lease is still had, for as long as one more command may take.
    async fn renew(&mut self) -> Result<(), Kind> {
        let own = self.lease.document();
        let answer = self.write_lease(own, Create::Never).await?;
        match answer.get_document("value") {
            Ok(_) => Ok(()),
            Err(_) => Err(Kind::Changed("another controller took over".to_owned())),
        }
    }

    async fn write_lease(&mut self, query: Document, create: Create) -> Result<Document, Kind> {
        let length = self.timeouts().answer() + MARGIN;
        let until = doc! { "$add": ["$$NOW", millis(length)] };
        let command = doc! {
            "findAndModify": LOCKS,
            "query": query,
            "update": [{ "$set": { "holder": &self.lease.holder, "until": until } }],
            "upsert": create == Create::IfAbsent,
            "new": true,
        };
        self.write(LOGINS_DATABASE, command).await
    }

    /// Changes something under the lock.
    pub(crate) async fn change(
        &mut self,
        database: &str,
        command: Document,
    ) -> Result<Document, Kind> {
        self.renew().await?;
        self.lease.is_settled = false;
        let outcome = self.write(database, command).await;
        self.lease.is_settled = !outcome.as_ref().is_err_and(Kind::is_unsettled);
        outcome
    }

    /// Frees the lock and keeps the session.
    pub async fn unlock(self) -> Result<Session, Error> {
        let own = self.lease.document();
        let delete = doc! { "delete": LOCKS, "deletes": [{ "q": own, "limit": 1 }] };
        match self.ask(LOGINS_DATABASE, delete).await {
            Ok(_) => {
                let Self { session, mut lease } = self;
                lease.is_settled = false;
                Ok(session)
            }
            Err(kind) => Err(self.error(kind, "unlocking the claim")),
        }
    }
}

impl Lease {
    fn document(&self) -> Document {
        doc! { "_id": self.key, "holder": &self.holder }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_settled {
            let holder = std::mem::take(&mut self.holder);
            self.rack.leave_lease(self.key, holder);
        }
    }
}

impl Deref for Locked {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// Whether a lease that nobody has is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Create {
    IfAbsent,
    Never,
}
