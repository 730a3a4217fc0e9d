//! The series of controller-runtime and its work queue that dashboards of the original use, under
//! the same names and labels.

use std::time::Instant;

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

pub struct Reconcile {
    total: IntCounterVec,
    errors: IntCounterVec,
    seconds: HistogramVec,
    depth: IntGaugeVec,
    retries: IntCounterVec,
    queue_seconds: HistogramVec,
    work_seconds: HistogramVec,
    longest: GaugeVec,
    resident_bytes: Gauge,
    cpu_seconds: Gauge,
}

/// A reconcile under way.
pub struct Timer<'a> {
    metrics: &'a Reconcile,
    controller: &'static str,
    started: Instant,
}

impl Reconcile {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let histogram = |name: &str, help: &str, label| {
            let buckets = prometheus::exponential_buckets(0.001, 2.0, 17)?;
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &[label])
        };
        let metrics = Self {
            total: IntCounterVec::new(
                Opts::new("controller_runtime_reconcile_total", "Reconciles"),
                &["controller", "result"],
            )?,
            errors: counter(
                "controller_runtime_reconcile_errors_total",
                "Reconciles that failed",
                "controller",
            )?,
            seconds: histogram(
                "controller_runtime_reconcile_time_seconds",
                "Duration of a reconcile",
                "controller",
            )?,
            depth: IntGaugeVec::new(
                Opts::new(
                    "workqueue_depth",
                    "Reconciles under way or waiting for their server",
                ),
                &["name"],
            )?,
            retries: counter("workqueue_retries_total", "Retries", "name")?,
            queue_seconds: histogram(
                "workqueue_queue_duration_seconds",
                "Wait for a place at the server",
                "name",
            )?,
            work_seconds: histogram("workqueue_work_duration_seconds", "Work on an item", "name")?,
            longest: GaugeVec::new(
                Opts::new(
                    "workqueue_longest_running_processor_seconds",
                    "Longest reconcile so far",
                ),
                &["name"],
            )?,
            resident_bytes: Gauge::new("process_resident_memory_bytes", "Resident memory")?,
            cpu_seconds: Gauge::new("process_cpu_seconds_total", "User and system time")?,
        };
        metrics.register(registry)?;
        Ok(metrics)
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let Self {
            total,
            errors,
            seconds,
            depth,
            retries,
            queue_seconds,
            work_seconds,
            longest,
            resident_bytes,
            cpu_seconds,
        } = self;
        registry.register(Box::new(total.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(depth.clone()))?;
        registry.register(Box::new(retries.clone()))?;
        registry.register(Box::new(queue_seconds.clone()))?;
        registry.register(Box::new(work_seconds.clone()))?;
        registry.register(Box::new(longest.clone()))?;
        registry.register(Box::new(resident_bytes.clone()))?;
        registry.register(Box::new(cpu_seconds.clone()))
    }

    /// Counts a reconcile from here until the timer is dropped.
    pub fn start(&self, controller: &'static str) -> Timer<'_> {
        self.depth.with_label_values(&[controller]).inc();
        Timer {
            metrics: self,
            controller,
            started: Instant::now(),
        }
    }

    pub fn failed(&self, controller: &'static str) {
        self.errors.with_label_values(&[controller]).inc();
        self.retries.with_label_values(&[controller]).inc();
    }

    /// How long a reconcile waited for its server.
    pub fn waited(&self, controller: &'static str, wait: std::time::Duration) {
        self.queue_seconds
            .with_label_values(&[controller])
            .observe(wait.as_secs_f64());
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let Self {
            metrics,
            controller,
            started,
        } = self;
        let seconds = started.elapsed().as_secs_f64();
        let label = &[*controller];
        metrics.depth.with_label_values(label).dec();
        metrics
            .total
            .with_label_values(&[controller, "success"])
            .inc();
        metrics.seconds.with_label_values(label).observe(seconds);
        metrics
            .work_seconds
            .with_label_values(label)
            .observe(seconds);
        let longest = metrics.longest.with_label_values(label);
        longest.set(longest.get().max(seconds));
    }
}

/// Reads the process's own figures, as Linux keeps them (proc(5)); elsewhere they stay zero.
pub(super) fn refresh_process(metrics: &Reconcile) {
    const PAGE_BYTES: f64 = 4096.0;
    const TICKS_PER_SECOND: f64 = 100.0;
    let field = |text: &str, at: usize| {
        text.split_whitespace()
            .nth(at)
            .and_then(|word| word.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    if let Ok(statm) = std::fs::read_to_string("/proc/self/statm") {
        metrics.resident_bytes.set(field(&statm, 1) * PAGE_BYTES);
    }
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
        // The second field is the name in parentheses, and may hold spaces.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        metrics
            .cpu_seconds
            .set((field(rest, 11) + field(rest, 12)) / TICKS_PER_SECOND);
    }
}
