//! All that is particular to PgBouncer.

mod child;
mod console;
mod files;
mod held;
mod version;

pub(crate) use child::{Drained, Supervisor};
pub(crate) use console::{Console, Error as ConsoleError, Figures};
pub use files::{Error, Listen, NotLoopback, PoolMode, Settings, Tls, ini};
pub(crate) use version::prepared_statements;
