//! What `/metrics` says. Labels are closed lists: no login, host, database or text of an error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hotload::follow::Refusal;
use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use strum::IntoEnumIterator;

use crate::pgbouncer::Figures;

/// How a switch ended.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Outcome {
    Done,
    Failed,
}

/// Why a credential was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum RefusalCause {
    FileUnreadable,
    FileEmpty,
    FileInvalid,
    /// The server said no.
    Login,
    /// There was no server to say so.
    ServerAway,
}

impl RefusalCause {
    pub(crate) fn of_file(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Unreadable { .. } | Refusal::NotAFile { .. } | Refusal::Unsettled { .. } => {
                Self::FileUnreadable
            }
            Refusal::Empty { .. } => Self::FileEmpty,
            Refusal::TooLarge { .. } | Refusal::NotText { .. } | Refusal::Invalid { .. } => {
                Self::FileInvalid
            }
        }
    }
}

/// Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    generation: IntGauge,
    age: Gauge,
    in_use_since: Arc<Mutex<Option<Instant>>>,
    file_good: IntGauge,
    switches: IntCounterVec,
    refusals: IntCounterVec,
    ready: IntGauge,
    pgbouncer_up: IntGauge,
    pgbouncer_restarts: IntCounter,
    pool: Pool,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help)?);
        let labelled = |name: &str, help: &str, label: &str| {
            registered(
                &registry,
                IntCounterVec::new(Opts::new(name, help), &[label])?,
            )
        };
        let metrics = Self {
            generation: gauge(
                "dbproxy_credential_generation",
                "Number of the credential in use, counted from 1 since the start; 0 is none",
            )?,
            age: registered(
                &registry,
                Gauge::new("dbproxy_credential_age_seconds", "Since the last switch")?,
            )?,
            in_use_since: Arc::default(),
            file_good: gauge(
                "dbproxy_credential_file_good",
                "Whether the file holds a DSN that can be used; else the last good one is in use",
            )?,
            switches: labelled(
                "dbproxy_credential_switches_total",
                "Switches to another credential",
                "outcome",
            )?,
            refusals: labelled(
                "dbproxy_credential_refusals_total",
                "Credentials that were not used",
                "cause",
            )?,
            ready: gauge("dbproxy_ready", "Whether clients are served")?,
            pgbouncer_up: gauge("dbproxy_pgbouncer_up", "Whether PgBouncer runs")?,
            pgbouncer_restarts: registered(
                &registry,
                IntCounter::new("dbproxy_pgbouncer_restarts_total", "PgBouncer had died")?,
            )?,
            pool: Pool::new(&registry)?,
            registry,
        };
        // So that a first increase is seen as one.
        for outcome in Outcome::iter() {
            metrics.switches.with_label_values(&[<&str>::from(outcome)]);
        }
        for cause in RefusalCause::iter() {
            metrics.refusals.with_label_values(&[<&str>::from(cause)]);
        }
        Ok(metrics)
    }

    /// PgBouncer uses the credential of this number.
    pub(crate) fn uses(&self, generation: u64) {
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        if self.generation.get() == generation {
            return;
        }
        self.generation.set(generation);
        let mut since = self
            .in_use_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *since = Some(Instant::now());
    }

    pub(crate) fn has_credential(&self) -> bool {
        self.generation.get() > 0
    }

    pub(crate) fn file_is_good(&self, is_good: bool) {
        self.file_good.set(is_good.into());
    }

    pub(crate) fn switched(&self, outcome: Outcome) {
        self.switches
            .with_label_values(&[<&str>::from(outcome)])
            .inc();
    }

    pub(crate) fn refused(&self, cause: RefusalCause) {
        self.refusals
            .with_label_values(&[<&str>::from(cause)])
            .inc();
    }

    pub(crate) fn set_ready(&self, is_ready: bool) {
        self.ready.set(is_ready.into());
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.get() == 1
    }

    pub(crate) fn pgbouncer_runs(&self, is_running: bool) {
        self.pgbouncer_up.set(is_running.into());
    }

    pub(crate) fn pgbouncer_restarted(&self) {
        self.pgbouncer_restarts.inc();
    }

    /// The text, with PgBouncer's own figures if it gave some.
    pub(crate) fn text(&self, figures: Option<Figures>) -> Result<String, prometheus::Error> {
        let since = *self
            .in_use_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.age
            .set(since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        if let Some(figures) = figures {
            self.pool.show(figures);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// PgBouncer's figures. Its counters begin again when it does.
#[derive(Debug, Clone)]
struct Pool {
    clients: IntGaugeVec,
    servers: IntGaugeVec,
    longest_wait: IntGauge,
    transactions: IntCounter,
    queries: IntCounter,
    received: IntCounter,
    sent: IntCounter,
    wait: Counter,
}

impl Pool {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            registered(
                registry,
                IntGaugeVec::new(Opts::new(name, help), &["state"])?,
            )
        };
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help)?);
        Ok(Self {
            clients: gauge("dbproxy_pool_clients", "Connections of clients")?,
            servers: gauge("dbproxy_pool_servers", "Connections to the server")?,
            longest_wait: registered(
                registry,
                IntGauge::new(
                    "dbproxy_pool_longest_wait_seconds",
                    "How long the first client in the queue has waited",
                )?,
            )?,
            transactions: counter("dbproxy_pool_transactions_total", "Transactions pooled")?,
            queries: counter("dbproxy_pool_queries_total", "Queries pooled")?,
            received: counter("dbproxy_pool_received_bytes_total", "From clients")?,
            sent: counter("dbproxy_pool_sent_bytes_total", "To clients")?,
            wait: registered(
                registry,
                Counter::new(
                    "dbproxy_pool_wait_seconds_total",
                    "Clients waited for a server",
                )?,
            )?,
        })
    }

    fn show(&self, figures: Figures) {
        let Figures {
            clients_active,
            clients_waiting,
            servers_active,
            servers_idle,
            servers_used,
            servers_login,
            longest_wait_seconds,
            transactions,
            queries,
            received_bytes,
            sent_bytes,
            wait_microseconds,
        } = figures;
        for (state, count) in [("active", clients_active), ("waiting", clients_waiting)] {
            self.clients.with_label_values(&[state]).set(count);
        }
        for (state, count) in [
            ("active", servers_active),
            ("idle", servers_idle),
            ("used", servers_used),
            ("login", servers_login),
        ] {
            self.servers.with_label_values(&[state]).set(count);
        }
        self.longest_wait.set(longest_wait_seconds);
        for (counter, total) in [
            (&self.transactions, transactions),
            (&self.queries, queries),
            (&self.received, received_bytes),
            (&self.sent, sent_bytes),
        ] {
            counter.reset();
            counter.inc_by(total);
        }
        self.wait.reset();
        let waited = std::time::Duration::from_micros(wait_microseconds);
        self.wait.inc_by(waited.as_secs_f64());
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
