//! All that is particular to PgBouncer.

mod files;

pub use files::{Error, Listen, NotLoopback, PoolMode, Settings, Tls, ini};
