//! The half that logs in.

use std::num::NonZeroU32;

use super::{Error, Keys, Mechanism, base64, field, fresh_nonce, is_same, xor};

/// Fewer would make a stolen verifier cheap.
const MIN_ITERATIONS: u32 = 4096;

pub(crate) struct Client {
    mechanism: Mechanism,
    nonce: String,
    first_bare: String,
    signature: Vec<u8>,
}

/// What the server wants the password to be hashed with.
#[derive(Debug)]
pub(crate) struct Challenge {
    nonce: String,
    text: String,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: NonZeroU32,
}

impl Client {
    pub(crate) fn new(mechanism: Mechanism, login: &str) -> Self {
        Self::with_nonce(mechanism, login, fresh_nonce())
    }

    pub(super) fn with_nonce(mechanism: Mechanism, login: &str, nonce: String) -> Self {
        let login = login.replace('=', "=3D").replace(',', "=2C");
        Self {
            mechanism,
            first_bare: format!("n={login},r={nonce}"),
            nonce,
            signature: Vec::new(),
        }
    }

    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    pub(crate) fn challenge(&self, message: &[u8]) -> Result<Challenge, Error> {
        let text = std::str::from_utf8(message).map_err(|_| Error::Malformed)?;
        let nonce = field(text, "r")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Error::Nonce);
        }
        let salt = base64::decode(field(text, "s")?).ok_or(Error::Malformed)?;
        let iterations: u32 = field(text, "i")?.parse().map_err(|_| Error::Malformed)?;
        let iterations = NonZeroU32::new(iterations).filter(|count| count.get() >= MIN_ITERATIONS);
        Ok(Challenge {
            nonce: nonce.to_owned(),
            text: text.to_owned(),
            salt,
            iterations: iterations.ok_or(Error::Iterations)?,
        })
    }

    /// The last message of this side.
    pub(crate) fn proof(&mut self, challenge: &Challenge, keys: &Keys) -> String {
        let without_proof = format!("c=biws,r={}", challenge.nonce);
        let all = format!("{},{},{without_proof}", self.first_bare, challenge.text);
        let signature = self.mechanism.hmac(&keys.stored, all.as_bytes());
        self.signature = self.mechanism.hmac(&keys.server, all.as_bytes());
        let proof = base64::encode(&xor(&keys.client, &signature));
        format!("{without_proof},p={proof}")
    }

    /// Whether the server knows the password too.
    pub(crate) fn finish(&self, message: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(message).map_err(|_| Error::Malformed)?;
        let signature = base64::decode(field(text, "v")?).ok_or(Error::Malformed)?;
        if self.signature.is_empty() || !is_same(&signature, &self.signature) {
            return Err(Error::Signature);
        }
        Ok(())
    }
}
