//! The real thing, for tests, demo and benchmarks: a Kubernetes control plane, PostgreSQL
//! and MongoDB servers that start in a second and die with the test, plus faults and observers around them.
//!
//! Nothing here is faked, and nothing here is part of a shipped binary.

pub mod application;
pub mod assets;
pub mod control_plane;
pub mod controller;
pub mod dns;
pub mod env;
pub mod fault_proxy;
pub mod http;
pub mod load;
pub mod mongod;
pub mod names;
pub mod node;
pub mod pki;
pub mod postgres;
pub mod prober;
pub mod process;
pub mod volume;
pub mod wait;

pub use env::{TestEnv, env};

/// Makes rustls use ring. Without it two providers would be possible and rustls would panic.
pub fn install_crypto_provider() {
    // An error says that a provider is installed already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
