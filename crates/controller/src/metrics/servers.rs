//! Gauges over servers, by name: what claims have there, who waits, and which are left alone.

use std::{collections::HashMap, time::Duration};

use api::{
    conditions::{self, Type},
    server::{DatabaseServer, ServerUsage},
};
use engine::schedule;
use jiff::Timestamp;
use kube::ResourceExt;
use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

pub struct ServerGauges {
    databases: IntGaugeVec,
    logins: IntGaugeVec,
    throttled: IntGaugeVec,
    circuit_open: IntGaugeVec,
    admin_age: GaugeVec,
    admin_contested: IntGaugeVec,
}

/// What the gauges say, as it is now.
pub struct Servers {
    pub usage: HashMap<String, ServerUsage>,
    /// Claims whose rotation waits for its turn.
    pub waiting: Vec<(String, usize)>,
    /// Whether each address is left alone.
    pub circuits: Vec<(String, bool)>,
    /// Those whose admin is rotated.
    pub admins: Vec<RotatedAdmin>,
}

/// The admin's credential of a server.
pub struct RotatedAdmin {
    pub server: String,
    pub age: Duration,
    /// Whether somebody else changes it too.
    pub is_contested: bool,
}

impl RotatedAdmin {
    /// `None` where it is not rotated.
    pub fn of(server: &DatabaseServer, now: Timestamp) -> Option<Self> {
        server.spec.admin_rotation.as_ref()?;
        let status = server.status.as_ref()?;
        let rotated_at = status.rotation.as_ref().and_then(|it| it.last_rotation_at);
        Some(Self {
            server: server.name_any(),
            age: rotated_at.map_or(Duration::ZERO, |at| schedule::until(at, now)),
            is_contested: conditions::is_true(&status.conditions, Type::Contested),
        })
    }
}

impl ServerGauges {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["server"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let admin_age = GaugeVec::new(
            Opts::new(
                "dbcontroller_admin_credential_age_seconds",
                "Age of the credential of a server's admin, where it is rotated",
            ),
            &["server"],
        )?;
        registry.register(Box::new(admin_age.clone()))?;
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
            admin_age,
            admin_contested: gauge(
                "dbcontroller_admin_contested",
                "1 while somebody else changes the credential of a server's admin too",
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
            admin_age,
            admin_contested,
        } = self;
        for gauge in [databases, logins, throttled, circuit_open, admin_contested] {
            gauge.reset();
        }
        admin_age.reset();
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
        for admin in &servers.admins {
            let labels = [admin.server.as_str()];
            admin_age
                .with_label_values(&labels)
                .set(admin.age.as_secs_f64());
            set(
                admin_contested,
                &admin.server,
                i64::from(admin.is_contested),
            );
        }
    }
}
