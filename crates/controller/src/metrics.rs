//! All metrics, in a registry of our own. A typed function a metric is the only way to touch one,
//! so that labels stay bounded: enums, server names, and what compatibility asks for; never a DSN.

mod attempts;
mod claims;
mod reconcile;
mod rotation;
mod servers;

use engine::ErrorClass;
use prometheus::{IntCounterVec, Opts, Registry, TextEncoder, core::Collector};

pub use self::{
    attempts::Attempts,
    claims::ClaimGauges,
    reconcile::Reconcile,
    rotation::Rotation,
    servers::{RotatedAdmin, ServerGauges, Servers},
};

pub struct Metrics {
    registry: Registry,
    pub reconcile: Reconcile,
    pub rotation: Rotation,
    pub claims: ClaimGauges,
    pub servers: ServerGauges,
    pub errors: Errors,
    pub attempts: Attempts,
}

/// Failed passes by class.
pub struct Errors(IntCounterVec);

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let errors = IntCounterVec::new(
            Opts::new(
                "dbclaim_load_errors_total",
                "Passes over claims that failed, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self {
            reconcile: Reconcile::new(&registry)?,
            rotation: Rotation::new(&registry)?,
            claims: ClaimGauges::new(&registry)?,
            servers: ServerGauges::new(&registry)?,
            errors: Errors(errors),
            attempts: Attempts::new(&registry)?,
            registry,
        })
    }

    /// Takes in what another part of this process measures.
    pub fn add(&self, collector: Box<dyn Collector>) -> Result<(), prometheus::Error> {
        self.registry.register(collector)
    }

    /// The text format of Prometheus.
    pub fn text(&self) -> String {
        reconcile::refresh_process(&self.reconcile);
        let mut text = String::new();
        // Only a metric with invalid names can fail here, and none of ours has such.
        let _ = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text);
        text
    }
}

impl Errors {
    pub fn count(&self, class: ErrorClass) {
        self.0.with_label_values(&[class.reason()]).inc();
    }
}
