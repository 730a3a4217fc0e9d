//! The program as a pod runs it, before a real PostgreSQL and with files that somebody swaps.

mod databases;
mod failures;
mod files;
mod samples;
mod stage;
