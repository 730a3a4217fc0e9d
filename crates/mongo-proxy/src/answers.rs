//! The few answers that the proxy gives itself.

use bson::raw::{RawArrayBuf, RawDocumentBuf};
use bson::rawdoc;

/// As the server says it when a login is refused.
pub(crate) fn authentication_failed() -> RawDocumentBuf {
    rawdoc! {
        "ok": 0.0,
        "errmsg": "Authentication failed.",
        "code": 18,
        "codeName": "AuthenticationFailed",
    }
}

/// Drivers resume a change stream on this, and on no refusal.
pub(crate) fn cursor_not_found(cursor: i64) -> RawDocumentBuf {
    rawdoc! {
        "ok": 0.0,
        "errmsg": format!("cursor id {cursor} not found"),
        "code": 43,
        "codeName": "CursorNotFound",
    }
}

/// Cursors of a login that is gone are gone as well.
pub(crate) fn nothing_to_kill(cursors: &[i64]) -> RawDocumentBuf {
    let mut gone = RawArrayBuf::new();
    for cursor in cursors {
        gone.push(*cursor);
    }
    rawdoc! {
        "cursorsKilled": [],
        "cursorsNotFound": gone,
        "cursorsAlive": [],
        "cursorsUnknown": [],
        "ok": 1.0,
    }
}

/// What mongod says of an `OP_QUERY` that is no hello.
pub(crate) fn unsupported_query() -> RawDocumentBuf {
    rawdoc! {
        "ok": 0.0,
        "errmsg": "Unsupported OP_QUERY command. The client driver may require an upgrade.",
        "code": 352,
        "codeName": "UnsupportedOpQueryCommand",
    }
}

/// For logins by other mechanisms than SCRAM.
pub(crate) fn mechanism_unavailable() -> RawDocumentBuf {
    rawdoc! {
        "ok": 0.0,
        "errmsg": "the proxy supports SCRAM-SHA-256 and SCRAM-SHA-1 only",
        "code": 334,
        "codeName": "MechanismUnavailable",
    }
}

pub(crate) fn ok() -> RawDocumentBuf {
    rawdoc! { "ok": 1.0 }
}
