//! SCRAM (RFC 5802, RFC 7677) as MongoDB speaks it: both halves, and derived keys that are kept.
//!
//! MongoDB's SHA-1 hashes `md5(login:mongo:password)` in place of the password. No channel binding.

mod client;
mod keys;
mod server;

pub(crate) use client::Client;
pub(crate) use keys::{KeyCache, Keys};
pub(crate) use server::{Offer, Server};

use ring::{digest, hmac, pbkdf2};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mechanism {
    Sha1,
    Sha256,
}

impl Mechanism {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256]
            .into_iter()
            .find(|mechanism| mechanism.name() == name)
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        };
        digest::digest(algorithm, data).as_ref().to_owned()
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data)
            .as_ref()
            .to_owned()
    }

    fn pbkdf2(self) -> (pbkdf2::Algorithm, usize) {
        match self {
            Self::Sha1 => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("a message of the login is malformed")]
    Malformed,
    #[error("the nonce of the other side does not continue ours")]
    Nonce,
    #[error("the server asks for fewer than 4096 iterations")]
    Iterations,
    #[error("the server does not know the password: its signature is false")]
    Signature,
    #[error("the password is not accepted")]
    Refused,
    #[error("the password has letters that SCRAM-SHA-256 forbids")]
    Password,
}

/// The value of `key=value` in a message.
fn field<'a>(message: &'a str, key: &str) -> Result<&'a str, Error> {
    let fields = message.split(',');
    let mut values = fields.filter_map(|field| field.strip_prefix(key)?.strip_prefix('='));
    values.next().ok_or(Error::Malformed)
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter()
        .zip(right)
        .map(|(left, right)| left ^ right)
        .collect()
}

/// Compares in constant time.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let differences = left
        .iter()
        .zip(right)
        .fold(0, |sum, (left, right)| sum | (left ^ right));
    left.len() == right.len() && differences == 0
}

/// Letters that need no escape.
fn fresh_nonce() -> String {
    let mut bytes = [0; 24];
    // Fails on no system that runs this; a nonce of zeros would only make the login fail.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    base64::encode(&bytes)
}

mod base64;

#[cfg(test)]
mod tests;
