//! Turns a password into what a server stores of it, so that no plaintext is ever in a statement.
//! A server that logs statements logs the verifier: PostgreSQL takes it only as a part of the
//! statement, and only a superuser may switch the log off for it. It is what the server keeps in
//! `pg_authid` as well; nobody can log in with it.
//! One of the few places where a password is a plain text for the length of a line.

use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret, SecretString};

use crate::sql::Literal;

/// A SCRAM-SHA-256 verifier (RFC 5803), 4,096 iterations with a salt of its own.
/// Whoever holds it can check guesses of the password: it is not printed either.
pub struct Verifier(SecretString);

impl Verifier {
    /// About two milliseconds of one core, on a thread where that delays nobody.
    /// Returns `None` only when the runtime is shutting down.
    pub async fn of(password: &SecretString) -> Option<Self> {
        let password = password.clone();
        let hash = move || scram_sha_256(password.expose_secret().as_bytes());
        let verifier = tokio::task::spawn_blocking(hash).await.ok()?;
        Some(Self(verifier.into()))
    }

    pub(crate) fn literal(&self) -> Literal<'_> {
        Literal(self.0.expose_secret())
    }
}
