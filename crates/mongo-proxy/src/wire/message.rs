//! `OP_MSG`: flags, one command, and sequences of documents that belong to it.

use bson::RawDocument;

use super::{CHECKSUM_PRESENT, Error, Fields, MORE_TO_COME, OP_MSG, framed};

/// The parts of an `OP_MSG` that a relay looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) flags: u32,
    /// The section of kind 0. Only its length was checked.
    pub(crate) body: &'a RawDocument,
}

impl<'a> Message<'a> {
    /// Reads what follows the header. Sections may come in any order.
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let mut fields = Fields(payload);
        let flags = fields.int()?.cast_unsigned();
        if flags & CHECKSUM_PRESENT != 0 {
            let end = fields.0.len().checked_sub(4).ok_or(Error::Short)?;
            fields = Fields(fields.take(end)?);
        }
        let mut body = None;
        while !fields.0.is_empty() {
            match fields.byte()? {
                0 if body.is_none() => body = Some(RawDocument::from_bytes(fields.sized()?)?),
                0 => return Err(Error::Body),
                1 => drop(fields.sized()?),
                kind => return Err(Error::Section(kind)),
            }
        }
        let body = body.ok_or(Error::Body)?;
        Ok(Self { flags, body })
    }

    pub(crate) fn has_more_to_come(&self) -> bool {
        self.flags & MORE_TO_COME != 0
    }
}

/// An `OP_MSG` of one document.
pub(crate) fn encode_message(
    request_id: i32,
    response_to: i32,
    flags: u32,
    body: &RawDocument,
) -> Vec<u8> {
    let mut payload = Vec::with_capacity(5 + body.as_bytes().len());
    payload.extend_from_slice(&(flags & !CHECKSUM_PRESENT).to_le_bytes());
    payload.push(0);
    payload.extend_from_slice(body.as_bytes());
    framed(request_id, response_to, OP_MSG, &payload)
}
