//! A real PgBouncer before a real PostgreSQL, and a real mongod: the program dbproxy from outside, as the container that the webhook injects.
#![expect(clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod configuration;
mod documented;
mod drain;
mod exposure;
mod faults;
mod languages;
mod mongo;
mod mongo_claim;
mod mongo_crew;
mod mongo_failover;
mod mongo_languages;
mod proxy;
mod session;
mod switches;
mod upstream;
