//! Connection strings: reads the URI and the keyword form of libpq (manual section 34.1.1) and
//! MongoDB's URI, writes every form that the published Secret holds.
//! One of the few places where a password is a plain text for the length of a line.

mod mongo;
mod parse;
mod render;

#[cfg(test)]
mod tests;

use secrecy::SecretString;

pub use self::{
    mongo::{AUTH_SOURCE, LOGINS_DATABASE, REPLICA_SET},
    parse::{Error, PartialDsn},
};
pub(crate) use self::{parse::endpoint, render::encoded};
use crate::{
    address::Address,
    names::{DatabaseName, Login},
};

/// A login and its password.
#[derive(Debug, Clone)]
pub struct Credential {
    pub login: Login,
    pub password: SecretString,
}

/// All that a client needs to connect.
#[derive(Debug, Clone)]
pub struct Dsn {
    pub address: Address,
    pub database: DatabaseName,
    pub credential: Credential,
}
