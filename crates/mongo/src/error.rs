//! What went wrong, where, and so what happens next. The one place that reads MongoDB's error
//! codes and the driver's errors.
//! Never quotes a command: `createUser` and `updateUser` carry a password, and the server quotes
//! what it refuses. The driver's error is never kept as a source.

use std::time::Duration;

use engine::{ErrorClass, catalog::Feature};
use mongodb::{
    bson::Document,
    error::{Error as DriverError, ErrorKind, WriteFailure},
};
use strum::IntoEnumIterator;

/// A failed operation on one server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} on server {server}: {kind}")]
pub struct Error {
    /// Hosts and ports.
    pub server: String,
    /// What was tried, with the names of logins and databases.
    pub operation: String,
    pub kind: Kind,
}

impl Error {
    pub fn class(&self) -> ErrorClass {
        self.kind.class()
    }

    /// Whether the server refused login or password.
    pub fn is_refused_login(&self) -> bool {
        matches!(self.kind, Kind::RefusedLogin)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("all of this server's sessions are in use")]
    Exhausted,
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("no member takes writes; an election may be under way")]
    NoPrimary,
    #[error(
        "member {0} does not know yet what the primary knows; clients that log in there are refused"
    )]
    Lagging(String),
    #[error("it is not ready: {0}")]
    NotReady(String),
    /// The change is in force on the primary and may be undone by the next one.
    #[error("no majority of the members has confirmed the change; it will be tried again")]
    Unconfirmed,
    #[error("login or password is refused, or the login may not connect from here")]
    RefusedLogin,
    #[error("the connection lost its login; it will be opened again")]
    LoggedOut,
    #[error("a right is missing: {0}")]
    Forbidden(String),
    #[error("a role does not exist; ask who runs the server to create it, or change databaseRoles")]
    NoRole,
    /// The claim's own lock was not had in time.
    #[error("another controller works on this claim; it will be tried again")]
    Fenced,
    #[error("it changed meanwhile: {0}")]
    Changed(String),
    #[error("it changed meanwhile: the login is gone")]
    LoginGone,
    /// What the server will answer to this claim for ever: a value or a name that it never takes.
    #[error("the server can't do it: code {0}")]
    Impossible(i32),
    /// What the server will answer to everybody.
    #[error(
        "this service refuses the command to everybody (code {0}); logins on it are made with its own tools"
    )]
    Unsupported(i32),
    #[error("this service does not take {}", <&str>::from(.0))]
    NoField(Feature),
    #[error("the driver does not take the connection string; look at its parameters")]
    Address,
    #[error("the server answers with code {0}")]
    Refused(i32),
    #[error("the answer is not understood: {0}")]
    Answer(String),
    #[error("a step of another engine")]
    ForeignStep,
}

impl Kind {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::Exhausted
            | Self::Tls(_)
            | Self::NoPrimary
            | Self::Lagging(_)
            | Self::NotReady(_)
            | Self::Unconfirmed => ErrorClass::Unavailable,
            Self::RefusedLogin | Self::Forbidden(_) => ErrorClass::Forbidden,
            // Made by others, perhaps soon: looked at twice a minute.
            Self::NoRole => ErrorClass::Blocked,
            Self::Fenced | Self::Changed(_) | Self::LoginGone => ErrorClass::Conflict,
            Self::Impossible(_) | Self::Unsupported(_) | Self::NoField(_) | Self::Address => {
                ErrorClass::InvalidSpec
            }
            Self::LoggedOut | Self::Refused(_) => ErrorClass::Transient,
            Self::Answer(_) | Self::ForeignStep => ErrorClass::Bug,
        }
    }

    /// Whether the same command may be sent again: nobody knows what became of it, or what it did
    /// may be undone.
    pub(crate) fn is_unsettled(&self) -> bool {
        matches!(
            self,
            Self::Unconfirmed | Self::TimedOut(_) | Self::NoPrimary | Self::Unreachable(_)
        ) || matches!(self, Self::NotReady(_))
    }

    pub(crate) fn at(self, server: impl std::fmt::Display, operation: impl Into<String>) -> Error {
        Error {
            server: server.to_string(),
            operation: operation.into(),
            kind: self,
        }
    }
}

/// An answer with `ok: 1` that a majority did not confirm is a failure: the next primary may not
/// have it.
pub(crate) fn confirmed(answer: Document) -> Result<Document, Kind> {
    let Ok(err) = answer.get_document("writeConcernError") else {
        return Ok(answer);
    };
    let code = err.get_i32("code").unwrap_or_default();
    Err(match from_code(code, "") {
        kind @ (Kind::NoPrimary | Kind::NotReady(_)) => kind,
        _ => Kind::Unconfirmed,
    })
}

impl From<DriverError> for Kind {
    fn from(err: DriverError) -> Self {
        match *err.kind {
            ErrorKind::Command(err) => from_code(err.code, &err.message),
            ErrorKind::Write(WriteFailure::WriteError(err)) => from_code(err.code, &err.message),
            ErrorKind::Write(WriteFailure::WriteConcernError(_)) => Self::Unconfirmed,
            // The driver drops the code of a refused SASL conversation; 18 has this text.
            ErrorKind::Authentication { message, .. }
                if message.ends_with("Authentication failed.") =>
            {
                Self::RefusedLogin
            }
            ErrorKind::Authentication { .. } => {
                Self::NotReady("the server broke off the login".to_owned())
            }
            ErrorKind::Io(err) if err.kind() == std::io::ErrorKind::InvalidData => {
                Self::Tls(err.to_string())
            }
            ErrorKind::Io(err) => Self::Unreachable(err.to_string()),
            ErrorKind::DnsResolve { .. } => {
                Self::Unreachable("its name does not resolve".to_owned())
            }
            ErrorKind::ServerSelection { message, .. } => from_selection(&message),
            ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::Shutdown => {
                Self::NotReady("its connections were closed".to_owned())
            }
            ErrorKind::InvalidTlsConfig { .. } => {
                Self::Tls("its CA certificates can't be read".to_owned())
            }
            ErrorKind::InvalidArgument { .. } => Self::Address,
            ErrorKind::IncompatibleServer { .. } => {
                Self::Answer("the server's version is not supported".to_owned())
            }
            _ => Self::Answer("the driver did not understand it".to_owned()),
        }
    }
}

/// Codes: MongoDB's `error_codes.yml`.
fn from_code(code: i32, message: &str) -> Kind {
    if let Some(feature) = unknown_field(code, message) {
        return Kind::NoField(feature);
    }
    match code {
        18 => Kind::RefusedLogin,
        // Drivers log in again only on 391.
        13 if message.ends_with("requires authentication") => Kind::LoggedOut,
        391 => Kind::LoggedOut,
        13 => Kind::Forbidden(words(message).to_owned()),
        31 => Kind::NoRole,
        11 => Kind::LoginGone,
        // A login of the name, or a document of the id.
        51003 | 11000 => Kind::Changed("somebody else made it".to_owned()),
        112 | 24 => Kind::Changed("a concurrent change".to_owned()),
        2 | 9 | 50687 | 72 | 73 | 334 => Kind::Impossible(code),
        10107 | 10058 | 13435 | 189 => Kind::NoPrimary,
        91 | 11600 | 11602 | 13436 => Kind::NotReady("it shuts down or starts".to_owned()),
        50 | 262 => Kind::NotReady("the command took too long".to_owned()),
        64 | 79 | 100 => Kind::Unconfirmed,
        6 | 7 | 89 | 9001 => Kind::Unreachable("the connection broke".to_owned()),
        59 | 115 | 238 | 303 | 8000 => Kind::Unsupported(code),
        _ => Kind::Refused(code),
    }
}

/// A field of a command that the server names because it does not know it: by mongod's code, and by
/// those of services that speak its protocol.
fn unknown_field(code: i32, message: &str) -> Option<Feature> {
    let is_refusal = matches!(code, 9 | 40415 | 115 | 238 | 303);
    is_refusal.then_some(())?;
    Feature::iter().find(|feature| message.contains(<&str>::from(feature)))
}

/// What the server says of a missing right, without the command that it then quotes.
fn words(message: &str) -> &str {
    let end = message
        .find(" to execute command")
        .or_else(|| message.find('{'));
    match end.and_then(|end| message.get(..end)) {
        Some(words) => words.trim_end(),
        None if message.starts_with("not authorized") => message,
        None => "not authorized",
    }
}

/// Why no member was found, out of the driver's description of all of them.
fn from_selection(message: &str) -> Kind {
    let reason = message.split_once("I/O error: ").map(|(_, rest)| {
        let end = rest.find(", labels").unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default().to_owned()
    });
    let is_of_tls = |reason: &String| {
        let words = ["certificate", "tls", "TLS", "corrupt message"];
        words.iter().any(|word| reason.contains(word))
    };
    match reason {
        Some(reason) if is_of_tls(&reason) => Kind::Tls(reason),
        _ if message.contains("ReplicaSetNoPrimary") => Kind::NoPrimary,
        Some(reason) => Kind::Unreachable(reason),
        None => Kind::Unreachable("no member answers in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn a_refusal_never_quotes_the_command() {
        let message = "not authorized on dbclaims to execute command \
                       { createUser: \"clerk_a\", pwd: \"hunter2\", lsid: { id: 1 } }";
        let kind = from_code(13, message);
        assert_eq!(
            kind,
            Kind::Forbidden("not authorized on dbclaims".to_owned())
        );
        assert_eq!(kind.class(), ErrorClass::Forbidden);
        let kind = from_code(13, "hunter2");
        assert_eq!(kind, Kind::Forbidden("not authorized".to_owned()));
    }

    #[test]
    fn a_change_without_a_majority_is_a_failure_that_is_repeated() {
        for code in [64, 79] {
            let answer = doc! { "ok": 1, "writeConcernError": { "code": code, "errmsg": "" } };
            let kind = confirmed(answer).unwrap_err();
            assert_eq!(kind, Kind::Unconfirmed);
            assert!(kind.is_unsettled());
        }
        assert_eq!(confirmed(doc! { "ok": 1 }), Ok(doc! { "ok": 1 }));
    }

    #[test]
    fn each_answer_means_what_the_table_says() {
        let check = |code, class: ErrorClass, is_unsettled| {
            let kind = from_code(code, "not authorized");
            assert_eq!(
                (kind.class(), kind.is_unsettled()),
                (class, is_unsettled),
                "{code}"
            );
        };
        for code in [51003, 11, 11000] {
            check(code, ErrorClass::Conflict, false);
        }
        check(31, ErrorClass::Blocked, false);
        for code in [2, 50687] {
            check(code, ErrorClass::InvalidSpec, false);
        }
        for code in [18, 13] {
            check(code, ErrorClass::Forbidden, false);
        }
        for code in [10107, 189, 91, 11600, 11602, 50, 262] {
            check(code, ErrorClass::Unavailable, true);
        }
        let lost = from_code(13, "command find requires authentication");
        assert_eq!(lost, Kind::LoggedOut);
    }

    #[test]
    fn the_reason_is_found_among_the_drivers_words() {
        let refused = "Server selection timeout: No available servers. Topology: { Type: Unknown, \
            Servers: [ { Address: 127.0.0.1:1, Type: Unknown, Error: Kind: I/O error: Connection \
            refused (os error 111), labels: {}, source: None, server response: None } ] }";
        let kind = from_selection(refused);
        assert_eq!(
            kind,
            Kind::Unreachable("Connection refused (os error 111)".to_owned())
        );
        let kind = from_selection(
            "… Type: ReplicaSetNoPrimary … Error: Kind: I/O error: invalid peer certificate: \
             UnknownIssuer, labels: {} …",
        );
        let untrusted = "invalid peer certificate: UnknownIssuer".to_owned();
        assert_eq!(kind, Kind::Tls(untrusted));
        let kind = from_selection("… Type: ReplicaSetNoPrimary, Set Name: rs0 …");
        assert_eq!(kind, Kind::NoPrimary);
    }
}
