//! Everything users of db-controller see: kinds, labels, conditions, Secret keys, configuration.
//! Pure: no I/O, no clock, no Kubernetes client.
#![allow(
    unreachable_pub,
    reason = "the schema derive repeats each type in a private module"
)]

pub mod claim;
pub mod conditions;
pub mod config;
mod crds;
pub mod go_duration;
pub mod names;
pub mod role_claim;
pub mod server;
mod server_access;
pub mod ssl_mode;

pub use crds::crds;
