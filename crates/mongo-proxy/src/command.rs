//! What a command is, read from the top level of its document alone.

use bson::raw::{RawBsonRef, RawDocument};

use crate::wire::Error;

/// Who answers a command, and under which conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Logins end in the proxy.
    Login,
    Hello,
    /// The server answers without a login.
    Open,
    /// Needs a login, but is not worth waiting for one.
    Ending,
    /// Everything else needs a login.
    Closed,
}

/// A logical session's id.
pub(crate) type Lsid = [u8; 16];

/// The keys that decide where a command goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    pub(crate) name: &'a str,
    pub(crate) class: Class,
    pub(crate) lsid: Option<Lsid>,
    pub(crate) txn_number: Option<i64>,
    /// `autocommit: false`, which only statements of a transaction carry.
    pub(crate) is_in_transaction: bool,
    pub(crate) starts_transaction: bool,
    /// The cursor of a `getMore`.
    pub(crate) cursor: Option<i64>,
    pub(crate) body: &'a RawDocument,
}

impl<'a> Command<'a> {
    pub(crate) fn of(body: &'a RawDocument) -> Result<Self, Error> {
        let mut command = Self {
            name: "",
            class: Class::Closed,
            lsid: None,
            txn_number: None,
            is_in_transaction: false,
            starts_transaction: false,
            cursor: None,
            body,
        };
        for (place, element) in body.iter_elements().enumerate() {
            let element = element?;
            let key = element.key().as_str();
            if place == 0 {
                command.name = key;
                command.class = class(key);
            }
            match key {
                "getMore" if place == 0 => command.cursor = element.value()?.as_i64(),
                "lsid" => command.lsid = lsid(element.value()?),
                "txnNumber" => command.txn_number = element.value()?.as_i64(),
                "autocommit" => {
                    command.is_in_transaction = element.value()?.as_bool() == Some(false);
                }
                "startTransaction" => {
                    command.starts_transaction = element.value()?.as_bool() == Some(true);
                }
                _ => {}
            }
        }
        Ok(command)
    }

    pub(crate) fn ends_transaction(&self) -> bool {
        matches!(self.name, "commitTransaction" | "abortTransaction")
    }

    /// The cursors of a `killCursors`.
    pub(crate) fn killed(&self) -> Vec<i64> {
        if self.name != "killCursors" {
            return Vec::new();
        }
        let Ok(cursors) = self.body.get_array("cursors") else {
            return Vec::new();
        };
        let ids = cursors.into_iter().flatten();
        ids.filter_map(RawBsonRef::as_i64).collect()
    }
}

fn class(name: &str) -> Class {
    match name {
        "saslStart" | "saslContinue" | "authenticate" | "logout" | "getnonce" => Class::Login,
        "hello" | "isMaster" | "ismaster" => Class::Hello,
        "ping" | "buildInfo" | "buildinfo" => Class::Open,
        "endSessions" => Class::Ending,
        _ => Class::Closed,
    }
}

fn lsid(value: RawBsonRef<'_>) -> Option<Lsid> {
    let id = value.as_document()?.get("id").ok()??;
    id.as_binary()?.bytes.try_into().ok()
}

/// What an answer says that matters here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The error's number; none if all went well.
    pub(crate) code: Option<i32>,
    pub(crate) requires_authentication: bool,
    /// The cursor that the answer leaves; 0 says that there is none any more.
    pub(crate) cursor: Option<i64>,
}

const UNAUTHORIZED: i32 = 13;
const REAUTHENTICATION_REQUIRED: i32 = 391;

impl Outcome {
    pub(crate) fn of(body: &RawDocument) -> Result<Self, Error> {
        let mut outcome = Self::default();
        let mut is_ok = true;
        let mut code = 0;
        let mut text = "";
        for element in body.iter_elements() {
            let element = element?;
            match element.key().as_str() {
                "ok" => is_ok = number(element.value()?) != 0,
                "code" => code = number(element.value()?),
                "errmsg" => text = element.value()?.as_str().unwrap_or_default(),
                "cursor" => {
                    let cursor = element.value()?.as_document();
                    let id = cursor.and_then(|cursor| cursor.get("id").ok().flatten());
                    outcome.cursor = id.and_then(RawBsonRef::as_i64);
                }
                _ => {}
            }
        }
        if !is_ok {
            outcome.code = Some(code);
            outcome.requires_authentication = code == REAUTHENTICATION_REQUIRED
                || (code == UNAUTHORIZED && text.ends_with("requires authentication"));
        }
        Ok(outcome)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ok is 0 or 1")]
fn number(value: RawBsonRef<'_>) -> i32 {
    let double = value.as_f64().map(|double| double as i32);
    let bool = value.as_bool().map(i32::from);
    value.as_i32().or(double).or(bool).unwrap_or_default()
}
