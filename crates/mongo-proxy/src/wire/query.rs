//! `OP_QUERY`, in which drivers say hello before they know the server, and its `OP_REPLY`.

use bson::RawDocument;

use super::{Error, Fields, OP_REPLY, framed};

/// `AwaitCapable`, as mongod sets it.
const REPLY_FLAGS: i32 = 8;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    /// Of a name like `admin.$cmd`; nothing else is ever asked for.
    pub(crate) database: &'a str,
    pub(crate) body: &'a RawDocument,
}

impl<'a> Query<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let mut fields = Fields(payload);
        let _flags = fields.int()?;
        let name = std::str::from_utf8(fields.cstring()?).unwrap_or_default();
        let _skipped = fields.int()?;
        let _returned = fields.int()?;
        let body = RawDocument::from_bytes(fields.sized()?)?;
        let database = name.strip_suffix(".$cmd").ok_or(Error::Body)?;
        Ok(Self { database, body })
    }
}

/// An `OP_REPLY` of one document.
pub(crate) fn encode_reply(request_id: i32, response_to: i32, body: &RawDocument) -> Vec<u8> {
    let mut payload = Vec::with_capacity(20 + body.as_bytes().len());
    payload.extend_from_slice(&REPLY_FLAGS.to_le_bytes());
    payload.extend_from_slice(&0_i64.to_le_bytes());
    payload.extend_from_slice(&0_i32.to_le_bytes());
    payload.extend_from_slice(&1_i32.to_le_bytes());
    payload.extend_from_slice(body.as_bytes());
    framed(request_id, response_to, OP_REPLY, &payload)
}
