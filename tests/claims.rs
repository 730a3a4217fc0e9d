//! What a claim brings about: databases, roles, Secrets and rotations, seen from outside.

mod deletion;
mod rotation;
mod secret;
mod server;
mod source;

pub(crate) use source::owned_database;
