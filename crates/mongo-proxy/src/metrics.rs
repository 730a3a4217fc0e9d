//! What the proxy counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone)]
pub struct Metrics {
    pub(crate) clients: IntGauge,
    pub(crate) upstreams: IntGauge,
    pub(crate) generation: IntGauge,
    pub(crate) held: IntGauge,
    logins: IntCounterVec,
    mapped: IntCounterVec,
    reauthentications: IntCounter,
}

/// How a login at the server ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LoginResult {
    Accepted,
    Refused,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(format!("mongo_proxy_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let counters = |name: &str, help: &str, label: &str| {
            let opts = Opts::new(format!("mongo_proxy_{name}"), help);
            let counters = IntCounterVec::new(opts, &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let reauthentications = IntCounter::new(
            "mongo_proxy_reauthentications_total",
            "Logins made again because the server had forgotten them",
        )?;
        registry.register(Box::new(reauthentications.clone()))?;
        let metrics = Self {
            clients: gauge("client_connections", "Connections of applications")?,
            upstreams: gauge("upstream_connections", "Connections to servers")?,
            generation: gauge("generation", "The login in use, counted since the start")?,
            held: gauge("held_commands", "Commands that wait for a credential")?,
            logins: counters("logins_total", "Logins at servers", "result")?,
            mapped: counters("mapped_errors_total", "Answers that were changed", "code")?,
            reauthentications,
        };
        // So that a first increase is seen as one.
        for result in ["accepted", "refused"] {
            metrics.logins.with_label_values(&[result]);
        }
        metrics.mapped.with_label_values(&["43"]);
        Ok(metrics)
    }

    pub(crate) fn login(&self, result: LoginResult) {
        let label = match result {
            LoginResult::Accepted => "accepted",
            LoginResult::Refused => "refused",
        };
        self.logins.with_label_values(&[label]).inc();
    }

    pub(crate) fn mapped(&self, code: i32) {
        self.mapped.with_label_values(&[&code.to_string()]).inc();
    }

    pub(crate) fn reauthenticated(&self) {
        self.reauthentications.inc();
    }
}

/// One more as long as this lives.
pub(crate) struct Counted(IntGauge);

impl Counted {
    pub(crate) fn on(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
