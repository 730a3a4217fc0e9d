//! Counters of the original around databases, logins and passwords.

use std::time::Duration;

use engine::rotation::Cause;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

pub struct Rotation {
    users_created: IntCounterVec,
    users_deleted: IntCounter,
    users_create_errors: IntCounterVec,
    users_deleted_errors: IntCounterVec,
    user_create_seconds: Histogram,
    users_updated: IntCounter,
    users_update_errors: IntCounterVec,
    user_update_seconds: Histogram,
    databases_created: IntCounter,
    database_errors: IntCounterVec,
    rotated: IntCounter,
    rotate_errors: IntCounterVec,
    rotation_seconds: Histogram,
    claims_loaded: IntCounter,
    load_seconds: Histogram,
}

impl Rotation {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let labelled = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str| {
            let buckets = prometheus::exponential_buckets(0.005, 2.0, 15)?;
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        Ok(Self {
            users_created: labelled("users_created_total", "Logins made", &["username"])?,
            users_deleted: counter("users_deleted_total", "Logins dropped or retired")?,
            users_create_errors: labelled(
                "users_create_errors_total",
                "Logins that could not be made",
                &["reason", "username"],
            )?,
            users_deleted_errors: labelled(
                "users_deleted_errors_total",
                "Logins that could not be dropped",
                &["reason"],
            )?,
            user_create_seconds: histogram("user_create_time_seconds", "Time to make logins")?,
            users_updated: counter("users_updated_total", "Passwords set")?,
            users_update_errors: labelled(
                "users_update_errors_total",
                "Passwords that could not be set",
                &["reason"],
            )?,
            user_update_seconds: histogram("user_update_time_seconds", "Time to set a password")?,
            databases_created: counter("databases_created_total", "Databases made")?,
            database_errors: labelled(
                "database_provisioning_errors_total",
                "Databases that could not be made",
                &["reason"],
            )?,
            rotated: counter("password_rotated_total", "Credentials replaced")?,
            rotate_errors: labelled(
                "password_rotate_errors_total",
                "Credentials that could not be replaced",
                &["reason"],
            )?,
            rotation_seconds: histogram(
                "password_rotation_time_seconds",
                "Time from the decision to the confirmed credential",
            )?,
            claims_loaded: counter("dbclaims_loaded_total", "Passes over claims that did work")?,
            load_seconds: histogram("dbclaim_load_time_seconds", "Time of a pass that did work")?,
        })
    }

    pub fn login_created(&self, owner_role: &str, elapsed: Duration) {
        self.users_created.with_label_values(&[owner_role]).inc();
        self.user_create_seconds.observe(elapsed.as_secs_f64());
    }

    pub fn structure_failed(&self, reason: &str, owner_role: &str) {
        self.users_create_errors
            .with_label_values(&[reason, owner_role])
            .inc();
        self.database_errors.with_label_values(&[reason]).inc();
    }

    pub fn database_created(&self) {
        self.databases_created.inc();
    }

    pub fn login_removed(&self) {
        self.users_deleted.inc();
    }

    pub fn removal_failed(&self, reason: &str) {
        self.users_deleted_errors.with_label_values(&[reason]).inc();
    }

    pub fn password_set(&self, elapsed: Duration) {
        self.users_updated.inc();
        self.user_update_seconds.observe(elapsed.as_secs_f64());
    }

    /// A first publication is no rotation, but takes the same time.
    pub fn rotated(&self, cause: Cause, elapsed: Duration) {
        if cause != Cause::FirstPublication {
            self.rotated.inc();
        }
        self.rotation_seconds.observe(elapsed.as_secs_f64());
    }

    pub fn rotation_failed(&self, reason: &str) {
        self.rotate_errors.with_label_values(&[reason]).inc();
        self.users_update_errors.with_label_values(&[reason]).inc();
    }

    pub fn loaded(&self, elapsed: Duration) {
        self.claims_loaded.inc();
        self.load_seconds.observe(elapsed.as_secs_f64());
    }
}
