//! How long a server may take. Each bound is enforced twice: by the server, which then undoes the
//! work, and by a slightly longer wait here, for servers that never answer.

use std::time::Duration;

/// Added to the server's own bounds before this side gives up: a network's delay.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first packet to a session that takes statements, for each host.
    pub connect: Duration,
    /// For one lock: of an object, or of a claim.
    pub lock: Duration,
    /// For one statement, its locks included.
    pub statement: Duration,
}

impl Timeouts {
    /// How long to wait for the answer to a batch of statements.
    pub(crate) fn answer(&self) -> Duration {
        self.statement + GRACE
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            lock: Duration::from_secs(5),
            statement: Duration::from_secs(10),
        }
    }
}
