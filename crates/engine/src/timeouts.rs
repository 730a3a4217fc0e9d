//! How long a server may take. Each bound is enforced twice: by the server, which then undoes the
//! work, and by a slightly longer wait here, for servers that never answer.

use std::time::Duration;

/// Added to the server's own bounds before this side gives up: a network's delay.
const GRACE: Duration = Duration::from_secs(2);

/// So many hosts of a server get the whole time to connect; more of them share it.
const HOSTS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first packet to a session that takes statements, for each host; together no more
    /// than three times that.
    pub connect: Duration,
    /// For one lock: of an object, or of a claim.
    pub lock: Duration,
    /// For one statement, its locks included.
    pub statement: Duration,
}

impl Timeouts {
    /// How long to wait for the answer to a batch of statements.
    pub fn answer(&self) -> Duration {
        self.statement + GRACE
    }

    /// The same for a server of so many hosts: dead ones must not hold a worker one by one.
    pub fn shared_by(self, hosts: usize) -> Self {
        let hosts = u32::try_from(hosts).unwrap_or(u32::MAX).max(HOSTS);
        Self {
            connect: self.connect * HOSTS / hosts,
            ..self
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hosts_take_no_longer_than_three() {
        let timeouts = Timeouts::default();
        assert_eq!(timeouts.shared_by(1), timeouts);
        assert_eq!(timeouts.shared_by(3), timeouts);
        let shared = timeouts.shared_by(15).connect;
        assert_eq!(shared * 15, timeouts.connect * 3);
    }
}
