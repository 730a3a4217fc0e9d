//! Everything users of db-controller see: kinds, labels, conditions, Secret keys, configuration.
//! Pure: no I/O, no clock, no Kubernetes client.

pub mod config;
pub mod go_duration;
pub mod ssl_mode;
