//! The application's own login, which ends in the proxy: over the claim's credentials, current and
//! previous, whatever authentication database it names.

use std::num::NonZeroU32;
use std::sync::Arc;

use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use bson::spec::BinarySubtype;
use bson::{Binary, rawdoc};

use crate::answers;
use crate::credential::{Generation, Generations};
use crate::scram::{Error, KeyCache, Keys, Mechanism, Offer, Server};

const CONVERSATION: i32 = 1;
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

/// Where the login of one connection stands.
#[derive(Default)]
pub(crate) struct Visitor {
    server: Option<Server>,
    is_proven: bool,
}

impl Visitor {
    /// Answers `saslStart` and `saslContinue`, and shrugs at what else belongs to a login.
    pub(crate) async fn answer(
        &mut self,
        name: &str,
        body: &RawDocument,
        generations: &Generations,
        keys: &KeyCache,
        seed: &[u8],
    ) -> RawDocumentBuf {
        let answer = match name {
            "saslStart" => self.start(body, generations, keys, seed).await,
            "saslContinue" => self.proceed(body),
            "logout" => Ok(answers::ok()),
            _ => return answers::mechanism_unavailable(),
        };
        answer.unwrap_or_else(|_| answers::authentication_failed())
    }

    async fn start(
        &mut self,
        body: &RawDocument,
        generations: &Generations,
        keys: &KeyCache,
        seed: &[u8],
    ) -> Result<RawDocumentBuf, Error> {
        let name = body.get_str("mechanism").map_err(|_| Error::Malformed)?;
        let Some(mechanism) = Mechanism::named(name) else {
            return Ok(answers::mechanism_unavailable());
        };
        let offer = Offer::parse(mechanism, payload(body)?)?;
        let salt = salt(mechanism, &offer.login, seed);
        let kept = [generations.newest(), generations.older()];
        let accepted = accepted(mechanism, &offer.login, &salt, kept, keys).await;
        let (server, text) = offer.challenge(&salt, ITERATIONS.get(), accepted);
        self.server = Some(server);
        self.is_proven = false;
        Ok(message(text, false))
    }

    fn proceed(&mut self, body: &RawDocument) -> Result<RawDocumentBuf, Error> {
        let payload = payload(body)?;
        match self.server.take() {
            Some(server) => {
                let text = server.finish(payload)?;
                self.is_proven = true;
                Ok(message(text, true))
            }
            // The empty exchange of drivers that do not skip it.
            None if self.is_proven && payload.is_empty() => Ok(message(String::new(), true)),
            None => Err(Error::Malformed),
        }
    }
}

/// Keys of each password that the login may use. A stranger's derivation costs the same.
async fn accepted(
    mechanism: Mechanism,
    login: &str,
    salt: &[u8],
    kept: [Option<Arc<Generation>>; 2],
    keys: &KeyCache,
) -> Vec<Arc<Keys>> {
    let mut accepted = Vec::new();
    for generation in kept.into_iter().flatten() {
        let (current, previous, _) = generation.passwords();
        for password in std::iter::once(current).chain(previous) {
            let derived = keys
                .keys(mechanism, login, &password, salt, ITERATIONS)
                .await;
            if generation.login == login {
                accepted.extend(derived);
            }
        }
    }
    accepted
}

/// The same for each attempt of a login, known or not.
fn salt(mechanism: Mechanism, login: &str, seed: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, seed);
    let tag = ring::hmac::sign(&key, format!("{}{login}", mechanism.name()).as_bytes());
    let length = match mechanism {
        Mechanism::Sha1 => 16,
        Mechanism::Sha256 => 28,
    };
    tag.as_ref().iter().copied().take(length).collect()
}

fn message(text: String, is_done: bool) -> RawDocumentBuf {
    let payload = Binary {
        subtype: BinarySubtype::Generic,
        bytes: text.into_bytes(),
    };
    rawdoc! { "conversationId": CONVERSATION, "done": is_done, "payload": payload, "ok": 1.0 }
}

fn payload(body: &RawDocument) -> Result<&[u8], Error> {
    match body.get("payload") {
        Ok(Some(RawBsonRef::Binary(binary))) => Ok(binary.bytes),
        Ok(Some(RawBsonRef::String(text))) => Ok(text.as_bytes()),
        _ => Err(Error::Malformed),
    }
}
