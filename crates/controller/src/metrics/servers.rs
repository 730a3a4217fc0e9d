//! Gauges over servers, by name: what claims have there, who waits, and which are left alone.

use std::collections::HashMap;

use api::server::ServerUsage;
use prometheus::{IntGaugeVec, Opts, Registry};

pub struct ServerGauges {
    databases: IntGaugeVec,
    logins: IntGaugeVec,
    throttled: IntGaugeVec,
    circuit_open: IntGaugeVec,
}

/// What the gauges say, as it is now.
pub struct Servers {
    pub usage: HashMap<String, ServerUsage>,
    /// Claims whose rotation waits for its turn.
    pub waiting: Vec<(String, usize)>,
    /// Whether each address is left alone.
    pub circuits: Vec<(String, bool)>,
}

impl ServerGauges {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["server"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            databases: gauge(
                "dbcontroller_server_databases",
                "Databases of claims on a server",
            )?,
            logins: gauge(
                "dbcontroller_server_logins",
                "Logins of claims and role claims on a server",
            )?,
            throttled: gauge(
                "dbcontroller_rotations_throttled",
                "Rotations that wait for their turn on a server that bounds their pace",
            )?,
            circuit_open: gauge(
                "dbcontroller_server_circuit_open",
                "1 while a server is left alone after failures",
            )?,
        })
    }

    /// Every gauge anew: a server that is gone has none.
    pub fn refresh(&self, servers: &Servers) {
        let Self {
            databases,
            logins,
            throttled,
            circuit_open,
        } = self;
        for gauge in [databases, logins, throttled, circuit_open] {
            gauge.reset();
        }
        let set = |gauge: &IntGaugeVec, server: &String, value| {
            gauge.with_label_values(&[server.as_str()]).set(value);
        };
        for (server, usage) in &servers.usage {
            set(databases, server, usage.databases);
            set(logins, server, usage.logins);
        }
        for (server, count) in &servers.waiting {
            set(throttled, server, i64::try_from(*count).unwrap_or(i64::MAX));
        }
        for (server, is_open) in &servers.circuits {
            set(circuit_open, server, i64::from(*is_open));
        }
    }
}
