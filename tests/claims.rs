//! What a claim brings about: databases, roles, Secrets and rotations, seen from outside.

mod conditions;
mod definitions;
mod deletion;
pub(crate) mod formats;
mod hostile;
mod inspect;
mod life;
mod rename;
mod revoke;
mod rotation;
mod secret;
pub(crate) mod server;
pub(crate) mod source;
mod take_over;
mod tls;
pub(crate) mod tripwire;

pub(crate) use source::owned_database;
