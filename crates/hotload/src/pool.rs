//! Connections with the current DSN. No lock is held while one is opened, so a server that does not
//! answer holds up nobody but those who wait for it, and them only until the DSN changes.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::connect::Connect;
use crate::dsn::trimmed;
use crate::follow::{self, Watch, follow};
use crate::keeper::{Epoch, Epochs, Keeper};
use crate::metrics::Metrics;
use crate::source::Source;

/// Sizes and times of a [`Pool`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections there are at most, of all DSNs together. Default: 10.
    pub max_connections: usize,
    /// How long one may take to get, all waiting and connecting included. Default: 30 s.
    pub acquire_timeout: Duration,
    /// A new DSN is used after a random part of this time. Default: 1 s.
    pub jitter: Duration,
    /// How the file is followed.
    pub follow: follow::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(30),
            jitter: Duration::from_secs(1),
            follow: follow::Options::default(),
        }
    }
}

/// Why there is no connection, or none any more. `D` is the driver's own error.
#[derive(Debug, thiserror::Error)]
pub enum Error<D> {
    /// The file held no usable DSN so far.
    #[error("there is no DSN yet: {reason}")]
    NoDsn {
        /// What is wrong with the file.
        reason: String,
    },
    /// All connections were at work, or the server did not answer.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The driver could not connect with the current DSN.
    #[error("can't connect with the current DSN")]
    Connect(#[source] D),
    /// The DSN changed, and the mode does not let this work finish.
    #[error("the work was cut because the DSN changed")]
    Cut,
    /// The [`Keeper`] does not run any more.
    #[error("the DSN is no longer followed")]
    Ended,
}

/// Hands out connections with the current DSN. Clones are the same pool.
pub struct Pool<C: Connect> {
    shared: Arc<Shared<C>>,
    epochs: Epochs<C>,
    watch: Watch<C::Config>,
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            epochs: self.epochs.clone(),
            watch: self.watch.clone(),
        }
    }
}

/// What all clones of a pool, its connections and its keeper have in common.
pub(crate) struct Shared<C: Connect> {
    connect: Arc<C>,
    acquire_timeout: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle<C>>>,
}

struct Idle<C: Connect> {
    connection: C::Connection,
    epoch: Arc<Epoch<C>>,
}

impl<C: Connect> Shared<C> {
    /// Closes what nobody uses.
    pub(crate) fn drop_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }

    /// An idle connection of `epoch`; those of other epochs are closed.
    fn pop(&self, epoch: &Arc<Epoch<C>>) -> Option<C::Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| Arc::ptr_eq(&idle.epoch, epoch));
        idle.pop().map(|idle| idle.connection)
    }

    fn push(&self, connection: C::Connection, epoch: Arc<Epoch<C>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle { connection, epoch });
    }
}

/// Makes a pool for the DSN in `source`, and the keeper without which it hands out nothing.
pub fn open<C: Connect>(
    source: Source,
    connect: C,
    options: Options,
    metrics: Metrics,
) -> (Pool<C>, Keeper<C>) {
    let Options {
        max_connections,
        acquire_timeout,
        jitter,
        follow: following,
    } = options;
    let connect = Arc::new(connect);
    let parser = Arc::clone(&connect);
    let parse = move |text: &SecretString| parser.parse(&trimmed(text));
    let (follower, watch) = follow(source.path(), following, parse);
    let shared = Arc::new(Shared {
        connect,
        acquire_timeout,
        permits: Arc::new(Semaphore::new(max_connections)),
        idle: Mutex::default(),
    });
    let (current, epochs) = watch::channel(None);
    let pool = Pool {
        shared: Arc::clone(&shared),
        epochs,
        watch: watch.clone(),
    };
    let keeper = Keeper {
        follower,
        watch,
        shared,
        current,
        source,
        jitter,
        metrics,
    };
    (pool, keeper)
}

impl<C: Connect> Pool<C> {
    /// Lends a connection to `work`. If that succeeds, the connection is used again; if it fails or
    /// is dropped half done, the connection is closed, as nobody knows its state.
    ///
    /// # Errors
    /// Those of `work`, and [`Error`], which includes [`Error::Cut`].
    pub async fn run<R, E>(
        &self,
        work: impl AsyncFnOnce(&mut C::Connection) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<Error<C::Error>>,
    {
        let mut lease = self.get().await?;
        let cut = lease.cut();
        let done = tokio::select! {
            biased;
            () = cut.cancelled() => return Err(Error::Cut.into()),
            done = work(&mut lease) => done?,
        };
        lease.give_back();
        Ok(done)
    }

    /// A connection with the current DSN, idle or new.
    pub async fn get(&self) -> Result<Lease<C>, Error<C::Error>> {
        let timeout = self.shared.acquire_timeout;
        match tokio::time::timeout(timeout, self.acquire()).await {
            Ok(lease) => lease,
            Err(_) if self.epochs.borrow().is_none() => Err(Error::NoDsn {
                reason: self.reason(),
            }),
            Err(_) => Err(Error::Timeout(timeout)),
        }
    }

    /// The generation of the DSN in use, from 1; none before the first.
    pub fn generation(&self) -> Option<u64> {
        let epoch = self.epochs.borrow();
        epoch.as_ref().map(|epoch| epoch.version.generation)
    }

    fn reason(&self) -> String {
        let refusal = self.watch.refusal();
        refusal.map_or_else(
            || "its file was not read yet".to_owned(),
            |refusal| refusal.reason(),
        )
    }

    async fn acquire(&self) -> Result<Lease<C>, Error<C::Error>> {
        let Shared {
            connect, permits, ..
        } = &*self.shared;
        let permit = Arc::clone(permits).acquire_owned().await;
        let permit = permit.map_err(|_| Error::Ended)?;
        let mut epochs = self.epochs.clone();
        loop {
            let epoch = epochs.borrow_and_update().clone();
            let Some(epoch) = epoch else {
                epochs.changed().await.map_err(|_| Error::Ended)?;
                continue;
            };
            let opening = async {
                while let Some(mut connection) = self.shared.pop(&epoch) {
                    if connect.is_alive(&mut connection).await {
                        return Ok(connection);
                    }
                }
                connect
                    .connect(&epoch.version.value, epoch.cut.clone())
                    .await
            };
            let connection = tokio::select! {
                biased;
                // Whatever the old DSN leads to, the new one is the better try.
                changed = epochs.changed() => {
                    changed.map_err(|_| Error::Ended)?;
                    continue;
                }
                opened = opening => opened.map_err(Error::Connect)?,
            };
            return Ok(Lease {
                connection,
                epoch,
                epochs,
                shared: Arc::clone(&self.shared),
                _permit: permit,
            });
        }
    }
}

/// A connection that nobody else uses. Dropped, it is closed; [given back](Lease::give_back), it is
/// used again.
pub struct Lease<C: Connect> {
    connection: C::Connection,
    epoch: Arc<Epoch<C>>,
    epochs: Epochs<C>,
    shared: Arc<Shared<C>>,
    _permit: OwnedSemaphorePermit,
}

impl<C: Connect> Lease<C> {
    /// Cancelled when work on this connection must end. [`Pool::run`] sees to that by itself.
    pub fn cut(&self) -> CancellationToken {
        self.epoch.cut.clone()
    }

    /// The generation of the DSN that opened this connection.
    pub fn generation(&self) -> u64 {
        self.epoch.version.generation
    }

    /// Returns the connection, whose work is finished, to the pool. It is closed if its DSN is not
    /// the current one.
    pub fn give_back(self) {
        let Self {
            connection,
            epoch,
            epochs,
            shared,
            _permit,
        } = self;
        // Held while pushing: the keeper changes the epoch first and clears the idle ones then.
        let current = epochs.borrow();
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &epoch))
        {
            shared.push(connection, epoch);
        }
    }
}

impl<C: Connect> Deref for Lease<C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        &self.connection
    }
}

impl<C: Connect> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.connection
    }
}
