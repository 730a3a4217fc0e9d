//! The domain of db-controller: what was observed, what is decided, and what is written.
//! Pure: no I/O, no clock, no client of anything; time and randomness are arguments.

pub mod address;
pub mod catalog;
pub mod dsn;
pub mod error_class;
pub mod mark;
pub mod names;
pub mod step;

pub use error_class::ErrorClass;
