//! Relays the hello, which both sides see changed.

use bson::raw::{RawDocument, RawDocumentBuf, cstr};
use bson::rawdoc;

use super::{End, Relay, while_there};
use crate::command::Outcome;
use crate::hello;
use crate::scram::Mechanism;
use crate::wire::{EXHAUST_ALLOWED, Frame, Message, Query, encode_message, encode_reply};

/// What of a driver's request the proxy answers itself.
struct Asked {
    mechanisms: bool,
    login: Option<RawDocumentBuf>,
}

impl Relay {
    /// A hello may have many answers: then each follows a change of the topology.
    pub(super) async fn hello(&mut self, frame: &Frame, message: &Message<'_>) -> Result<(), End> {
        let (request, asked) = self.request(message.body)?;
        let id = frame.header.request_id;
        let flags = message.flags & EXHAUST_ALLOWED;
        let bytes = encode_message(id, 0, flags, &request);
        let (place, mut answer) = self.say_hello(&bytes).await?;
        let mut is_first = true;
        loop {
            let reply = Message::parse(answer.payload())?;
            self.still_fits(&reply)?;
            let body = self.reply(reply.body, is_first.then_some(&asked)).await?;
            let header = answer.header;
            let bytes = encode_message(header.request_id, header.response_to, reply.flags, &body);
            self.write(&bytes).await?;
            if !reply.has_more_to_come() || self.shared.closing.is_cancelled() {
                return Ok(());
            }
            is_first = false;
            let upstream = self.upstreams.get_mut(place).ok_or(End::Gone)?;
            answer = while_there(&mut self.client, upstream.receive()).await??;
        }
    }

    /// As drivers say it before they know the server.
    pub(super) async fn legacy_hello(
        &mut self,
        frame: &Frame,
        query: &Query<'_>,
    ) -> Result<(), End> {
        let (mut request, asked) = self.request(query.body)?;
        request.append(cstr!("$db"), query.database);
        let id = frame.header.request_id;
        let bytes = encode_message(id, 0, 0, &request);
        let (_, answer) = self.say_hello(&bytes).await?;
        let reply = Message::parse(answer.payload())?;
        self.still_fits(&reply)?;
        let body = self.reply(reply.body, Some(&asked)).await?;
        self.write(&encode_reply(answer.header.request_id, id, &body))
            .await
    }

    fn request(&mut self, body: &RawDocument) -> Result<(RawDocumentBuf, Asked), End> {
        let request = hello::request(body)?;
        if let Ok(metadata) = request.get_document("client") {
            self.metadata = Some(metadata.to_owned());
        }
        let login = body.get_document("speculativeAuthenticate");
        let asked = Asked {
            mechanisms: body.get_str("saslSupportedMechs").is_ok(),
            login: login.ok().map(RawDocument::to_owned),
        };
        Ok((request, asked))
    }

    /// The answer as the driver gets it; new members are listened for first.
    async fn reply(
        &mut self,
        body: &RawDocument,
        asked: Option<&Asked>,
    ) -> Result<RawDocumentBuf, End> {
        self.shared.learn(&hello::members(body), &hello::role(body));
        let topology = &self.shared.topology;
        let mut reply = hello::answer(body, |member| topology.local(member))?;
        let Some(Asked { mechanisms, login }) = asked else {
            return Ok(reply);
        };
        if *mechanisms {
            let both = [Mechanism::Sha256, Mechanism::Sha1].map(Mechanism::name);
            let mut list = bson::raw::RawArrayBuf::new();
            for name in both {
                list.push(name);
            }
            reply.append(cstr!("saslSupportedMechs"), list);
        }
        if let Some(login) = login {
            let answer = self.welcome("saslStart", login).await;
            // A refusal shows when the driver logs in without speculating.
            if Outcome::of(&answer)?.code.is_none() {
                let answer = speculative(&answer);
                reply.append(cstr!("speculativeAuthenticate"), answer);
            }
        }
        Ok(reply)
    }
}

fn speculative(answer: &RawDocument) -> RawDocumentBuf {
    let mut out = rawdoc! {};
    for element in answer.iter_elements().flatten() {
        if element.key().as_str() != "ok"
            && let Ok(value) = element.value()
        {
            out.append(element.key(), value);
        }
    }
    out
}
