//! Transactions that are held open while PgBouncer reads its files again, one in each pool.
//!
//! A reload that changes the login breaks off logins that are under way, and counts them as failed.
//! While a pool has no other connection to the server, PgBouncer then refuses its clients: `server
//! login has been failing` (seen with 1.18 and 1.24). A connection with a transaction open stays, so
//! each pool keeps one until a client was let in as the new login.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::console::{Console, show};

/// Pools are named by clients, so there may be many; each costs a connection of a client.
pub(super) const MOST: usize = 6;

/// A pool whose connections are all at work for so long is in no danger.
const TAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a pool may take to let a client in as the new login.
const LET_IN_TIMEOUT: Duration = Duration::from_secs(3);

/// Open transactions, with their pools' names. Dropping it ends them, too.
#[derive(Default)]
pub(crate) struct Held(Vec<(String, PgConnection)>);

impl Held {
    /// In each of `pools` that has a connection to spare.
    pub(super) async fn take(console: &Console, pools: Vec<String>) -> Self {
        let mut taking = JoinSet::new();
        for pool in pools.into_iter().take(MOST) {
            let console = console.clone();
            taking.spawn(async move {
                let held = async {
                    let mut connection = console.open(&pool).await.ok()?;
                    show(&mut connection, "BEGIN").await.ok()?;
                    Some((pool, connection))
                };
                timeout(TAKE_TIMEOUT, held).await.ok().flatten()
            });
        }
        Self(taking.join_all().await.into_iter().flatten().collect())
    }

    /// Ends each when its pool has let a client in, or will not.
    pub(crate) async fn release(self, console: &Console) {
        let mut releasing = JoinSet::new();
        for (pool, mut connection) in self.0 {
            let console = console.clone();
            releasing.spawn(async move {
                let _ = timeout(LET_IN_TIMEOUT, console.ask(&pool, "SELECT 1")).await;
                // Nothing was done in it. Failing, it has ended already.
                let _ = show(&mut connection, "COMMIT").await;
                let _ = connection.close().await;
            });
        }
        releasing.join_all().await;
    }
}
