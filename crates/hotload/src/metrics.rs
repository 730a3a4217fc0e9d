//! Metrics under the names of the Go library, so that its dashboards go on. No label holds more
//! than a path, and in that, what looks like a login is hidden.

mod statements;

use std::time::SystemTime;

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use self::statements::Statements;
pub use self::statements::Transaction;
use crate::source::{STRATEGY, Source, redacted};

/// In seconds, 15 minutes to a day (infobloxopen/hotload@main prometheusmetrics/provider.go).
const AGE_BUCKETS: [f64; 11] = [
    900.0, 1800.0, 2700.0, 3600.0, 4500.0, 5400.0, 7200.0, 10800.0, 14400.0, 28800.0, 86400.0,
];

/// With any value, [`Metrics::new`] adds `hotload_path_chksum_timestamp_seconds`.
const CHECKSUM_VARIABLE: &str = "HOTLOAD_PATH_CHKSUM_METRICS_ENABLE";

/// All metrics of this crate; clones are the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    changes: IntCounterVec,
    last_change: GaugeVec,
    file_age: HistogramVec,
    contents_change: Option<GaugeVec>,
    statements: Statements,
}

impl Metrics {
    /// Registers the metrics, each of which may be in a registry only once. The metric of the
    /// file's contents is opt-in, by the environment variable `HOTLOAD_PATH_CHKSUM_METRICS_ENABLE`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let is_wanted = std::env::var_os(CHECKSUM_VARIABLE).is_some_and(|value| !value.is_empty());
        Self::with_contents(registry, is_wanted)
    }

    fn with_contents(registry: &Registry, is_wanted: bool) -> Result<Self, prometheus::Error> {
        let changes = IntCounterVec::new(
            Opts::new("hotload_change_total", "Hotload change total by url"),
            &["url"],
        )?;
        let last_change = GaugeVec::new(
            Opts::new(
                "hotload_last_changed_timestamp_seconds",
                "Hotload last changed (unix timestamp), by url",
            ),
            &["url"],
        )?;
        let file_age = HistogramVec::new(
            HistogramOpts::new(
                "hotload_modtime_latency_histogram",
                "Hotload modtime latency histogram (seconds) by strategy and path",
            )
            .buckets(AGE_BUCKETS.to_vec()),
            &["strategy", "path"],
        )?;
        let contents_change = GaugeVec::new(
            Opts::new(
                "hotload_path_chksum_timestamp_seconds",
                "Hotload path checksum last changed (unix timestamp), by path",
            ),
            &["path"],
        )?;
        let statements = Statements::new()?;
        registry.register(Box::new(changes.clone()))?;
        registry.register(Box::new(last_change.clone()))?;
        registry.register(Box::new(file_age.clone()))?;
        registry.register(Box::new(statements.clone()))?;
        if is_wanted {
            registry.register(Box::new(contents_change.clone()))?;
        }
        Ok(Self {
            changes,
            last_change,
            file_age,
            contents_change: is_wanted.then_some(contents_change),
            statements,
        })
    }

    /// Counts the statements of one transaction, outside gRPC.
    pub fn transaction(&self) -> Transaction {
        self.statements.transaction("", "")
    }

    /// Counts the statements of one transaction that a gRPC method runs.
    pub fn grpc_transaction(&self, service: &str, method: &str) -> Transaction {
        self.statements.transaction(service, method)
    }

    /// The first DSN is no change.
    pub(crate) fn changed(&self, source: &Source, now: SystemTime) {
        let url = source.to_string();
        self.changes.with_label_values(&[&url]).inc();
        self.last_change
            .with_label_values(&[&url])
            .set(since_epoch(now));
    }

    /// The file has contents that it did not have before.
    pub(crate) fn loaded(&self, source: &Source, now: SystemTime) {
        if let Some(gauge) = &self.contents_change {
            gauge
                .with_label_values(&[&path(source)])
                .set(since_epoch(now));
        }
    }

    pub(crate) fn sampled(&self, source: &Source, modified: SystemTime, now: SystemTime) {
        let age = now.duration_since(modified).unwrap_or_default();
        self.file_age
            .with_label_values(&[STRATEGY, &path(source)])
            .observe(age.as_secs_f64());
    }
}

fn path(source: &Source) -> String {
    redacted(&source.path().to_string_lossy())
}

fn since_epoch(now: SystemTime) -> f64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::TextEncoder;

    use super::*;
    use crate::Mode;

    #[test]
    fn row_75_names_labels_and_buckets_are_those_of_the_go_library() {
        let registry = Registry::new();
        let metrics = Metrics::with_contents(&registry, true).unwrap();
        let source = Source::new("postgres", "/clerk:secret@etc/dsn", Mode::Graceful);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        metrics.loaded(&source, now);
        metrics.changed(&source, now);
        metrics.sampled(&source, now - Duration::from_secs(950), now);
        let mut transaction = metrics.grpc_transaction("shop", "Buy");
        transaction.exec();
        transaction.exec();
        transaction.query();
        drop(transaction);
        metrics.transaction().query();

        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&registry.gather(), &mut text)
            .unwrap();
        let url = r#"url="fsnotify://postgres/***@etc/dsn""#;
        let path = r#"path="/***@etc/dsn""#;
        let shop = r#"grpc_method="Buy",grpc_service="shop""#;
        for line in [
            "# TYPE hotload_change_total counter".to_owned(),
            format!("hotload_change_total{{{url}}} 1"),
            format!("hotload_last_changed_timestamp_seconds{{{url}}} 1000"),
            format!("hotload_path_chksum_timestamp_seconds{{{path}}} 1000"),
            format!(
                r#"hotload_modtime_latency_histogram_bucket{{{path},strategy="fsnotify",le="900"}} 0"#
            ),
            format!(
                r#"hotload_modtime_latency_histogram_bucket{{{path},strategy="fsnotify",le="1800"}} 1"#
            ),
            "# TYPE transaction_sql_stmts summary".to_owned(),
            format!(r#"transaction_sql_stmts_sum{{{shop},stmt="exec"}} 2"#),
            format!(r#"transaction_sql_stmts_count{{{shop},stmt="exec"}} 1"#),
            format!(r#"transaction_sql_stmts_sum{{{shop},stmt="query"}} 1"#),
            r#"transaction_sql_stmts_sum{grpc_method="",grpc_service="",stmt="query"} 1"#
                .to_owned(),
        ] {
            assert!(
                text.contains(&format!("{line}\n")),
                "{line} is not in\n{text}"
            );
        }
        assert!(!text.contains("secret"));
    }

    #[test]
    fn row_75_the_metric_of_the_contents_is_opt_in() {
        let registry = Registry::new();
        let metrics = Metrics::with_contents(&registry, false).unwrap();
        metrics.loaded(
            &Source::new("postgres", "/dsn", Mode::Graceful),
            SystemTime::now(),
        );
        let names: Vec<String> = registry
            .gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        assert!(
            !names.iter().any(|name| name.contains("chksum")),
            "{names:?}"
        );
    }
}
