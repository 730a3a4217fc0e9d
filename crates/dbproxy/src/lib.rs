//! Keeps an unpatched PgBouncer on the credential of a mounted Secret: follows the DSN file, tries
//! what it finds, switches to what works, supervises the process, and tells about it.
//!
//! Two modules decide and do nothing else, without sockets, files or clocks: [`credentials`] when a
//! credential that was found is used, and [`pgbouncer`]'s `ini` what the configuration is. The
//! others do what was decided. No Kubernetes: files in, a loopback port out.
//!
//! For MongoDB there is no such program: there [`mongo`] runs the workspace's own proxy instead.
//!
//! A client never needs a password, so nothing but loopback (or a socket in the pod) is listened on.

pub mod credentials;
pub mod dsn;
pub mod pgbouncer;

mod acknowledge;
mod args;
mod certificate;
mod health;
mod keeper;
mod login;
mod metrics;
mod mongo;
mod private;
mod run;
mod serve;

pub use args::Args;
pub use run::{Ended, run};
