//! Reconcilers, scheduling, leadership and metrics of db-controller.
//! Decides nothing about databases (that is `engine`) and writes no SQL and no command of MongoDB
//! (that is `postgres` and `mongo`).

pub mod bound;
pub mod claim;
pub mod config_file;
pub mod context;
pub mod copies;
pub mod directory;
pub mod engines;
pub mod error;
pub mod events;
pub mod hook;
pub mod lease;
pub mod limits;
pub mod merge_patch;
pub mod metrics;
pub mod news;
pub mod objects;
mod pace;
pub mod publish;
pub mod queue;
pub mod quota;
pub mod role_claim;
mod rotation;
pub mod run;
pub mod serve;
pub mod server;
pub mod tasks;
pub mod tripwire;
mod usage;
pub mod watch;

pub use context::Settings;
pub use directory::Directory;
pub use engine::address::Engine;
pub use run::{MetricsAccess, Options, run};
pub use serve::Gate;
