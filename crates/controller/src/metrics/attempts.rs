//! The counter of attempts to log in with a credential that is none any more.

use engine::tripwire::Phase;
use prometheus::{IntCounterVec, Opts, Registry};

pub struct Attempts(IntCounterVec);

impl Attempts {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = IntCounterVec::new(
            Opts::new(
                "dbcontroller_retired_credential_attempts_total",
                "Refused attempts on logins of claims, by whether they came right at a rotation",
            ),
            &["namespace", "server", "phase"],
        )?;
        registry.register(Box::new(counter.clone()))?;
        Ok(Self(counter))
    }

    pub fn count(&self, namespace: &str, server: &str, phase: Phase) {
        let labels = [namespace, server, phase.into()];
        self.0.with_label_values(&labels).inc();
    }
}
