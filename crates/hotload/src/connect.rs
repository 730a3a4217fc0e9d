//! What a database driver must be able to do. No driver is part of this crate; the folder
//! `examples` has one for sqlx and one for tokio-postgres.

use std::future::Future;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

/// Opens connections.
pub trait Connect: Send + Sync + 'static {
    /// A DSN as the driver understands it.
    type Config: Send + Sync + 'static;
    /// What is handed out.
    type Connection: Send + 'static;
    /// Why no connection could be opened. It is returned to who asked for one, and never logged.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads a DSN, which has no white space at its ends. What is refused here never replaces the
    /// DSN in use.
    fn parse(&self, dsn: &SecretString) -> Result<Self::Config, Malformed>;

    /// Opens a connection. The future may be dropped when the DSN changes meanwhile.
    ///
    /// `cut` is cancelled when the connection must end although it is at work. The pool then stops
    /// the work that it [runs](crate::Pool::run); a driver with a task of its own for each
    /// connection also ends that task.
    fn connect(
        &self,
        config: &Self::Config,
        cut: CancellationToken,
    ) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Whether an idle connection still works. Asked each time before one is handed out again;
    /// a round trip to the server is the honest answer.
    fn is_alive(&self, connection: &mut Self::Connection) -> impl Future<Output = bool> + Send {
        let _ = connection;
        std::future::ready(true)
    }
}

/// The DSN can't be used. Holds a fixed text, so it can't quote a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed DSN: {0}")]
pub struct Malformed(pub &'static str);
