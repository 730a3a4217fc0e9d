//! Fairness among servers: so many connections to each at once, and a circuit breaker, so that a
//! dead or slow server delays only its own claims.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use engine::ErrorClass;

use crate::{
    bound::{Bound, Place},
    error::Error,
};

/// Failures in a row after which a server is left alone for a while.
const FAILURES_TO_OPEN: u32 = 3;

/// What nobody asked for in so long is forgotten. Far longer than the pause between two checks.
const UNUSED: Duration = Duration::from_hours(1);

/// All servers that claims of this process live on, by address.
#[derive(Debug, Default)]
pub struct Limits {
    servers: Mutex<HashMap<String, Arc<Server>>>,
}

#[derive(Debug)]
struct Server {
    bound: Arc<Bound>,
    circuit: Mutex<Circuit>,
    asked_at: Mutex<Instant>,
}

#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
}

/// The right to speak to a server; ends when dropped.
#[derive(Debug)]
pub struct Permit {
    server: Arc<Server>,
    _place: Place,
}

impl Limits {
    /// Waits for a place at the server. Refuses at once while its circuit is open, before the wait
    /// and after it, so that a queue behind a dead server drains instead of timing out one by one.
    pub async fn enter(&self, address: &str, connections: u16) -> Result<Permit, Error> {
        let server = self.server(address, connections);
        server.check(address)?;
        let place = server.bound.enter().await?;
        server.check(address)?;
        Ok(Permit {
            server,
            _place: place,
        })
    }

    fn server(&self, address: &str, connections: u16) -> Arc<Server> {
        let mut servers = locked(&self.servers);
        if let Some(server) = servers.get(address) {
            *locked(&server.asked_at) = Instant::now();
            server.bound.resize(connections);
            return Arc::clone(server);
        }
        let server = Arc::new(Server {
            bound: Arc::new(Bound::new(connections)),
            circuit: Mutex::default(),
            asked_at: Mutex::new(Instant::now()),
        });
        servers.insert(address.to_owned(), Arc::clone(&server));
        server
    }

    /// Forgets servers that nobody asked for in a long time: their claims are gone.
    pub fn prune(&self, now: Instant) {
        locked(&self.servers).retain(|_, server| {
            let unused = now.saturating_duration_since(*locked(&server.asked_at));
            Arc::strong_count(server) > 1 || unused < UNUSED
        });
    }

    /// Each server with whether it is being left alone, for metrics.
    pub fn circuits(&self) -> Vec<(String, bool)> {
        let servers = locked(&self.servers);
        servers
            .iter()
            .map(|(name, server)| (name.clone(), server.is_open()))
            .collect()
    }
}

impl Permit {
    /// Learns from the outcome: only a server that does not answer counts against it.
    pub fn learn<T>(&self, outcome: &Result<T, Error>) {
        let mut circuit = locked(&self.server.circuit);
        let is_down =
            matches!(outcome, Err(Error::Server(err)) if err.class() == ErrorClass::Unavailable);
        if !is_down {
            *circuit = Circuit::default();
            return;
        }
        circuit.failures = circuit.failures.saturating_add(1);
        if circuit.failures >= FAILURES_TO_OPEN {
            let attempt = circuit.failures - FAILURES_TO_OPEN + 1;
            let wait = ErrorClass::Unavailable
                .retry_after(attempt)
                .unwrap_or_default();
            circuit.open_until = Some(Instant::now() + wait.min(Duration::from_mins(1)));
        }
    }
}

impl Server {
    fn is_open(&self) -> bool {
        locked(&self.circuit)
            .open_until
            .is_some_and(|until| until > Instant::now())
    }

    fn check(&self, address: &str) -> Result<(), Error> {
        let circuit = locked(&self.circuit);
        let now = Instant::now();
        match circuit.open_until {
            Some(until) if until > now => Err(Error::CircuitOpen {
                server: address.to_owned(),
                wait: until - now,
            }),
            _ => Ok(()),
        }
    }
}

/// A poisoned lock guards plain data that is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> Result<(), Error> {
        Err(Error::from(postgres::Error {
            server: "pg1:5432".to_owned(),
            operation: "connecting".to_owned(),
            kind: postgres::Kind::TimedOut(Duration::from_secs(5)),
        }))
    }

    #[tokio::test]
    async fn row_81_a_server_that_does_not_answer_is_left_alone_and_others_are_not() {
        let limits = Limits::default();
        for _ in 0..FAILURES_TO_OPEN {
            limits.enter("pg1:5432", 2).await.unwrap().learn(&down());
        }
        let err = limits.enter("pg1:5432", 2).await.unwrap_err();
        assert!(matches!(err, Error::CircuitOpen { .. }), "{err}");
        limits.enter("pg2:5432", 2).await.unwrap().learn(&Ok(()));
        let mut circuits = limits.circuits();
        circuits.sort();
        assert_eq!(
            circuits,
            [
                ("pg1:5432".to_owned(), true),
                ("pg2:5432".to_owned(), false)
            ]
        );
    }

    #[tokio::test]
    async fn a_server_that_nobody_asks_for_is_forgotten_unless_it_is_in_use() {
        let limits = Limits::default();
        drop(limits.enter("pg1:5432", 2).await.unwrap());
        let in_use = limits.enter("pg2:5432", 2).await.unwrap();
        limits.prune(Instant::now());
        assert_eq!(limits.circuits().len(), 2);
        limits.prune(Instant::now() + UNUSED);
        assert_eq!(limits.circuits(), [("pg2:5432".to_owned(), false)]);
        drop(in_use);
    }

    #[tokio::test]
    async fn a_refusal_by_a_living_server_closes_the_circuit() {
        let limits = Limits::default();
        for _ in 0..FAILURES_TO_OPEN - 1 {
            limits.enter("pg1:5432", 2).await.unwrap().learn(&down());
        }
        limits
            .enter("pg1:5432", 2)
            .await
            .unwrap()
            .learn(&Err::<(), _>(Error::Stopping));
        limits.enter("pg1:5432", 2).await.unwrap().learn(&down());
        assert!(limits.enter("pg1:5432", 2).await.is_ok());
    }
}
