//! How long answers take, and which they are.

use std::time::Instant;

use kube::core::{DynamicObject, admission::AdmissionReview};
use prometheus::{Histogram, HistogramOpts, HistogramVec, core::Collector};

/// Upper bounds of the buckets, in seconds: an answer from memory takes a fraction of the first ones.
const BUCKETS: [f64; 9] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.1, 1.0,
];

/// Reviews by what was asked about and what was answered; clones share it.
#[derive(Debug, Clone)]
pub struct Reviews(HistogramVec);

/// What a review is about.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum About {
    Injection,
    Conversion,
    Deletion,
}

/// A review under way.
pub(crate) struct Started {
    admitted: Histogram,
    refused: Histogram,
    at: Instant,
}

impl Reviews {
    pub fn new() -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "dbcontroller_webhook_review_seconds",
            "Time from a whole review to its answer, by what it is about and what was answered",
        );
        let reviews = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["about", "answer"])?;
        Ok(Self(reviews))
    }

    /// For the registry of the process.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.0.clone())
    }

    pub(crate) fn start(&self, about: About) -> Started {
        let of = |answer| self.0.with_label_values(&[about.into(), answer]);
        Started {
            admitted: of("admitted"),
            refused: of("refused"),
            at: Instant::now(),
        }
    }
}

impl Started {
    pub(crate) fn answered(self, review: &AdmissionReview<DynamicObject>) {
        let response = review.response.as_ref();
        let is_admitted = response.is_some_and(|response| response.allowed);
        let histogram = if is_admitted {
            self.admitted
        } else {
            self.refused
        };
        histogram.observe(self.at.elapsed().as_secs_f64());
    }
}
