//! The domain of db-controller: what was observed, what is decided, and what is written.
//! Pure: no I/O, no clock, no client of anything; time and randomness are arguments.

pub mod address;
pub mod agenda;
pub mod asked;
pub mod catalog;
pub mod consumers;
pub mod decide;
pub mod drift;
pub mod dsn;
pub mod error_class;
pub mod format;
pub mod inspection;
pub mod mark;
pub mod names;
pub mod observed;
pub mod password;
pub mod place;
pub mod role_claim;
pub mod rotation;
pub mod schedule;
pub mod secret;
pub mod share;
pub mod source;
pub mod step;
pub mod template;
pub mod timeouts;
pub mod timing;
pub mod tripwire;
pub mod turns;
pub mod wishes;

pub use error_class::ErrorClass;
