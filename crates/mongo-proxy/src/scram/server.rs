//! The half that is logged in to: the application's logins end in the proxy.

use std::sync::Arc;

use super::{Error, Keys, Mechanism, base64, field, fresh_nonce, is_same, xor};

/// What the first message of an application says.
#[derive(Debug)]
pub(crate) struct Offer {
    mechanism: Mechanism,
    pub(crate) login: String,
    bare: String,
    nonce: String,
}

impl Offer {
    pub(crate) fn parse(mechanism: Mechanism, message: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(message).map_err(|_| Error::Malformed)?;
        let bare = text.strip_prefix("n,,").ok_or(Error::Malformed)?;
        let login = field(bare, "n")?.replace("=2C", ",").replace("=3D", "=");
        Ok(Self {
            mechanism,
            login,
            nonce: field(bare, "r")?.to_owned(),
            bare: bare.to_owned(),
        })
    }

    /// Answers with a salt. Any of `accepted` will do as the proof's keys.
    pub(crate) fn challenge(
        self,
        salt: &[u8],
        iterations: u32,
        accepted: Vec<Arc<Keys>>,
    ) -> (Server, String) {
        let nonce = format!("{}{}", self.nonce, fresh_nonce());
        let text = format!("r={nonce},s={},i={iterations}", base64::encode(salt));
        let server = Server {
            mechanism: self.mechanism,
            transcript: format!("{},{text}", self.bare),
            nonce,
            accepted,
        };
        (server, text)
    }
}

/// Waits for the proof.
pub(crate) struct Server {
    mechanism: Mechanism,
    transcript: String,
    nonce: String,
    accepted: Vec<Arc<Keys>>,
}

impl Server {
    /// The last message of this side, if the proof holds under one of the passwords.
    pub(crate) fn finish(self, message: &[u8]) -> Result<String, Error> {
        let text = std::str::from_utf8(message).map_err(|_| Error::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Error::Malformed)?;
        if field(without_proof, "r")? != self.nonce {
            return Err(Error::Nonce);
        }
        let proof = base64::decode(proof).ok_or(Error::Malformed)?;
        let all = format!("{},{without_proof}", self.transcript);
        for keys in &self.accepted {
            let signature = self.mechanism.hmac(&keys.stored, all.as_bytes());
            let client = xor(&proof, &signature);
            if proof.len() == signature.len()
                && is_same(&self.mechanism.digest(&client), &keys.stored)
            {
                let signature = self.mechanism.hmac(&keys.server, all.as_bytes());
                return Ok(format!("v={}", base64::encode(&signature)));
            }
        }
        Err(Error::Refused)
    }
}
