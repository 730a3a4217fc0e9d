//! What `/metrics` tells. Labels are the names of configs, which the config file bounds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    runs: IntCounterVec,
    seconds: HistogramVec,
    is_current: IntGaugeVec,
    last_success: GaugeVec,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
}

impl Metrics {
    pub fn new() -> prometheus::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            runs: IntCounterVec::new(
                Opts::new(
                    "dsnexec_runs_total",
                    "Runs of a config's commands, by result",
                ),
                &["config", "result"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("dsnexec_run_seconds", "How long runs took")
                    .buckets(vec![0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 300.0]),
                &["config"],
            )?,
            is_current: IntGaugeVec::new(
                Opts::new(
                    "dsnexec_config_current",
                    "1 if the commands have run with the sources as they are now",
                ),
                &["config"],
            )?,
            last_success: GaugeVec::new(
                Opts::new(
                    "dsnexec_last_success_timestamp_seconds",
                    "When the commands of a config last ran without an error",
                ),
                &["config"],
            )?,
        };
        metrics.registry.register(Box::new(metrics.runs.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.seconds.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.is_current.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.last_success.clone()))?;
        Ok(metrics)
    }

    /// Shows a config before its first run.
    pub fn announce(&self, config: &str) {
        for result in ["success", "failure"] {
            self.runs.with_label_values(&[config, result]);
        }
        self.set_current(config, Outcome::Failure);
    }

    pub fn ran(&self, config: &str, outcome: Outcome, took: Duration, now: SystemTime) {
        let result = match outcome {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
        };
        self.runs.with_label_values(&[config, result]).inc();
        self.seconds
            .with_label_values(&[config])
            .observe(took.as_secs_f64());
        self.set_current(config, outcome);
        if outcome == Outcome::Success {
            let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            self.last_success
                .with_label_values(&[config])
                .set(since.as_secs_f64());
        }
    }

    pub fn set_current(&self, config: &str, outcome: Outcome) {
        let gauge = self.is_current.with_label_values(&[config]);
        gauge.set(i64::from(outcome == Outcome::Success));
    }

    pub fn text(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|err| prometheus::Error::Msg(err.to_string()))
    }
}
