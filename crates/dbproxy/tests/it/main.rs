//! A real PgBouncer before a real PostgreSQL: what it makes of our configuration, and the program
//! dbproxy from outside, as the container that the webhook injects.
#![expect(clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod configuration;
mod drain;
mod exposure;
mod faults;
mod languages;
mod proxy;
mod session;
mod switches;
mod upstream;
