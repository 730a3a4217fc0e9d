//! The wire protocol as far as a relay needs it: frames, and the command in an `OP_MSG`.
//!
//! Nothing is copied and nothing is allocated for a length that was only claimed. Documents are
//! never encoded again, except the few that this crate makes itself.

mod message;
mod query;

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::budget::{Place, Room};

pub(crate) use message::{Message, encode_message};
pub(crate) use query::{Query, encode_reply};

pub(crate) const HEADER: usize = 16;
/// What mongod takes: `maxMessageSizeBytes`, and room for what surrounds it.
pub(crate) const MAX_FRAME: usize = 48_000_000 + 16 * 1024;

pub(crate) const OP_REPLY: i32 = 1;
pub(crate) const OP_QUERY: i32 = 2004;
pub(crate) const OP_MSG: i32 = 2013;

pub(crate) const CHECKSUM_PRESENT: u32 = 1;
pub(crate) const MORE_TO_COME: u32 = 2;
pub(crate) const EXHAUST_ALLOWED: u32 = 1 << 16;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a frame claims {0} bytes, which no server takes")]
    Length(i32),
    #[error("a frame ends before its contents do")]
    Short,
    #[error("a section of kind {0} is unknown")]
    Section(u8),
    #[error("a message has not exactly one command")]
    Body,
    #[error("a document is malformed")]
    Document(#[from] bson::error::Error),
    #[error("cannot read a frame")]
    Read(#[from] io::Error),
}

/// The first sixteen bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: usize,
    pub(crate) request_id: i32,
    pub(crate) response_to: i32,
    pub(crate) op_code: i32,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Result<Self, Error> {
        let mut fields = Fields(bytes);
        let claimed = fields.int()?;
        let length = usize::try_from(claimed).unwrap_or(0);
        if !(HEADER..=MAX_FRAME).contains(&length) {
            return Err(Error::Length(claimed));
        }
        Ok(Self {
            length,
            request_id: fields.int()?,
            response_to: fields.int()?,
            op_code: fields.int()?,
        })
    }
}

/// One message, header included.
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
    _place: Place,
}

impl Frame {
    /// What follows the header.
    pub(crate) fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// Reads one frame when there is room for it. The buffer grows with what arrives, not with what was claimed.
    pub(crate) async fn read(
        reader: &mut (impl AsyncRead + Unpin),
        room: &Room,
    ) -> Result<Self, Error> {
        let mut head = [0; HEADER];
        reader.read_exact(&mut head).await?;
        let header = Header::parse(&head)?;
        let place = room.take(header.length).await;
        let mut bytes = Vec::with_capacity(header.length.min(64 * 1024));
        bytes.extend_from_slice(&head);
        let rest = header.length.saturating_sub(HEADER);
        let read = reader.take(rest as u64).read_to_end(&mut bytes).await?;
        if read < rest {
            return Err(Error::Short);
        }
        Ok(Self {
            header,
            bytes,
            _place: place,
        })
    }
}

/// Takes fields off the front of a payload.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn int(&mut self) -> Result<i32, Error> {
        let bytes = self.take(4)?.try_into().map_err(|_| Error::Short)?;
        Ok(i32::from_le_bytes(bytes))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        self.take(1)?.first().copied().ok_or(Error::Short)
    }

    /// Something that begins with its own length.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Error> {
        let length = Fields(self.0).int()?;
        let length = usize::try_from(length).map_err(|_| Error::Length(length))?;
        if length < 5 {
            return Err(Error::Short);
        }
        self.take(length)
    }

    /// Up to the next zero byte, which is skipped.
    pub(crate) fn cstring(&mut self) -> Result<&'a [u8], Error> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or(Error::Short)?)?;
        self.byte()?;
        Ok(text)
    }
}

/// A frame around `payload`.
pub(crate) fn framed(request_id: i32, response_to: i32, op_code: i32, payload: &[u8]) -> Vec<u8> {
    let length = i32::try_from(HEADER + payload.len()).unwrap_or(i32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    for field in [length, request_id, response_to, op_code] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests;
