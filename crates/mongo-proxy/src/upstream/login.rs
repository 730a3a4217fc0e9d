//! Logs a connection in. One of the few places that see the password.

use std::sync::Arc;
use std::time::Duration;

use bson::raw::{RawBsonRef, RawDocumentBuf};
use bson::spec::BinarySubtype;
use bson::{Binary, rawdoc};
use secrecy::SecretString;

use super::{Error, Upstream, wire_error};
use crate::command::Outcome;
use crate::credential::{Generation, Permission};
use crate::scram::{self, Client, KeyCache, Mechanism};

/// The server does not take the credential, now or a moment ago.
#[derive(Debug)]
pub(crate) struct Refused;

const AUTHENTICATION_FAILED: i32 = 18;

/// What a server says while it steps down.
const INTERRUPTED: [i32; 4] = [189, 10107, 11600, 11602];
const REPETITIONS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

impl Upstream {
    /// Logs in as `generation`, by its password or by the one before.
    pub(crate) async fn log_in(
        &mut self,
        generation: &Arc<Generation>,
        keys: &KeyCache,
    ) -> Result<Result<(), Refused>, Error> {
        let gate = generation.gate(&self.member);
        let (current, previous, version) = generation.passwords();
        let mut permission = gate.ask(version).await;
        if matches!(permission, Permission::Refused) {
            return Ok(Err(Refused));
        }
        let mut is_in = self.attempt(generation, &current, keys).await?;
        let is_current = is_in;
        if !is_in && let Some(previous) = previous {
            is_in = self.attempt(generation, &previous, keys).await?;
        }
        if let Permission::Alone(known) = &mut permission {
            match (is_in, is_current) {
                (true, true) => known.prove(version),
                (true, false) => {}
                (false, _) => known.refuse(version),
            }
        }
        drop(permission);
        if !is_in {
            gate.refuse(version).await;
            return Ok(Err(Refused));
        }
        self.identity = Some(Arc::clone(generation));
        Ok(Ok(()))
    }

    /// Begins again where a change of primaries interrupted it: that is not the driver's business.
    async fn attempt(
        &mut self,
        generation: &Generation,
        password: &SecretString,
        keys: &KeyCache,
    ) -> Result<bool, Error> {
        let mut left = REPETITIONS;
        loop {
            match self.converse(generation, password, keys).await {
                Err(Error::Interrupted) if left > 0 => {
                    left -= 1;
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn converse(
        &mut self,
        generation: &Generation,
        password: &SecretString,
        keys: &KeyCache,
    ) -> Result<bool, Error> {
        let Generation {
            login, auth_source, ..
        } = generation;
        let mechanism = self.mechanism(login, auth_source).await?;
        let mut client = Client::new(mechanism, login);
        let start = rawdoc! {
            "saslStart": 1,
            "mechanism": mechanism.name(),
            "payload": binary(client.first()),
            "options": { "skipEmptyExchange": true },
            "$db": auth_source.as_str(),
        };
        let Some(answer) = self.step(&start).await? else {
            return Ok(false);
        };
        let challenge = client.challenge(payload(&answer)?)?;
        let (salt, iterations) = (&challenge.salt, challenge.iterations);
        let keys = keys
            .keys(mechanism, login, password, salt, iterations)
            .await?;
        let conversation = answer.get("conversationId").map_err(wire_error)?;
        let conversation = conversation.and_then(RawBsonRef::as_i32).unwrap_or(1);
        let mut last = client.proof(&challenge, &keys);
        let mut is_proven = false;
        // One more exchange where the server does not skip the empty one.
        for _ in 0..3 {
            let next = rawdoc! {
                "saslContinue": 1,
                "conversationId": conversation,
                "payload": binary(last),
                "$db": auth_source.as_str(),
            };
            let Some(answer) = self.step(&next).await? else {
                return Ok(false);
            };
            if !is_proven {
                client.finish(payload(&answer)?)?;
                is_proven = true;
            }
            if answer.get_bool("done").unwrap_or(false) {
                return Ok(true);
            }
            last = String::new();
        }
        Err(scram::Error::Malformed.into())
    }

    /// None if the server refuses.
    async fn step(&mut self, body: &RawDocumentBuf) -> Result<Option<RawDocumentBuf>, Error> {
        let answer = self.call(body).await?;
        match Outcome::of(&answer)?.code {
            None => Ok(Some(answer)),
            Some(AUTHENTICATION_FAILED) => Ok(None),
            Some(code) if INTERRUPTED.contains(&code) => Err(Error::Interrupted),
            Some(_) => Err(scram::Error::Malformed.into()),
        }
    }

    /// The best that the server offers for this login. It offers nothing for one it lacks.
    async fn mechanism(&mut self, login: &str, source: &str) -> Result<Mechanism, Error> {
        let hello = rawdoc! {
            "hello": 1,
            "saslSupportedMechs": format!("{source}.{login}"),
            "$db": "admin",
        };
        let answer = self.call(&hello).await?;
        let Ok(offered) = answer.get_array("saslSupportedMechs") else {
            return Ok(Mechanism::Sha256);
        };
        let mut offered = offered.into_iter().flatten().filter_map(RawBsonRef::as_str);
        let has_sha256 = offered.any(|name| name == Mechanism::Sha256.name());
        Ok(if has_sha256 {
            Mechanism::Sha256
        } else {
            Mechanism::Sha1
        })
    }
}

fn binary(text: String) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: text.into_bytes(),
    }
}

fn payload(answer: &RawDocumentBuf) -> Result<&[u8], Error> {
    let payload = answer.get_binary("payload").map_err(wire_error)?;
    Ok(payload.bytes)
}
