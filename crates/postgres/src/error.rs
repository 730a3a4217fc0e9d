//! What went wrong, where, and so what happens next. The one place that reads SQLSTATEs and the
//! driver's errors.
//! Never quotes a statement: a server's own words appear only for those SQLSTATEs whose messages
//! name objects and rights, and the driver's error is never kept as a source.

use std::{borrow::Cow, io, time::Duration};

use engine::ErrorClass;
use sqlx::postgres::PgDatabaseError;

/// A failed operation on one server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} on server {server}: {kind}")]
pub struct Error {
    /// Hosts and ports.
    pub server: String,
    /// What was tried, with the names of roles and databases.
    pub operation: String,
    pub kind: Kind,
}

impl Error {
    pub fn class(&self) -> ErrorClass {
        self.kind.class()
    }

    /// Whether the server knew the login and said no: a wrong password, or no right to log in.
    pub fn is_refused_login(&self) -> bool {
        matches!(self.kind, Kind::RefusedLogin(_))
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
    /// Login and password are right: the server counts sessions after it has asked for them.
    #[error("all sessions that the login may have are in use")]
    LoginFull,
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("no host takes writes; all are standbys or away")]
    NoPrimary,
    #[error(
        "host {0} does not know yet what the primary knows; clients that try it first are refused"
    )]
    Lagging(String),
    #[error("it is not ready: {0}")]
    NotReady(String),
    #[error("the login is refused: {0}")]
    RefusedLogin(String),
    #[error("the login's name or password holds characters that SCRAM cannot carry (SASLprep)")]
    Unprepared,
    #[error("the session runs as {found}, not as the owner role {expected}")]
    WrongRole { found: String, expected: String },
    #[error("{0}")]
    NoDatabase(String),
    #[error("a right is missing: {0}")]
    Forbidden(String),
    /// A lock of an object was not had in time.
    #[error("somebody else holds a lock; it will be tried again")]
    LockTimeout,
    /// The claim's own lock was not had in time.
    #[error("another controller works on this claim; it will be tried again")]
    Fenced,
    #[error("it is in use: {0}")]
    InUse(String),
    #[error("it still owns objects or holds rights: {0}")]
    StillOwns(String),
    #[error("it changed meanwhile: {0}")]
    Changed(String),
    #[error(
        "the server takes no SCRAM verifier for a password; allow hashed passwords there \
         (extensions such as credcheck, or the provider's password policy)"
    )]
    RefusedVerifier,
    #[error("the server answers with SQLSTATE {0}")]
    Refused(String),
    #[error("a statement of ours is wrong: SQLSTATE {0}")]
    Statement(String),
    #[error("the answer is not understood: {0}")]
    Answer(String),
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
            | Self::NotReady(_) => ErrorClass::Unavailable,
            Self::RefusedLogin(_) | Self::Forbidden(_) | Self::RefusedVerifier => {
                ErrorClass::Forbidden
            }
            Self::Unprepared => ErrorClass::InvalidSpec,
            Self::NoDatabase(_) | Self::LockTimeout | Self::InUse(_) | Self::StillOwns(_) => {
                ErrorClass::Blocked
            }
            // Sessions that were just ended count for a moment more.
            Self::Fenced | Self::Changed(_) | Self::WrongRole { .. } | Self::LoginFull => {
                ErrorClass::Conflict
            }
            Self::Refused(_) => ErrorClass::Transient,
            Self::Statement(_) | Self::Answer(_) => ErrorClass::Bug,
        }
    }

    pub(crate) fn at(self, server: impl std::fmt::Display, operation: impl Into<String>) -> Error {
        Error {
            server: server.to_string(),
            operation: operation.into(),
            kind: self,
        }
    }
}

/// Translates what the driver says. Its texts are kept only where they cannot hold more than an
/// address, a certificate's fault or a column's name.
impl From<sqlx::Error> for Kind {
    fn from(err: sqlx::Error) -> Self {
        match err {
            sqlx::Error::Database(err) => match err.try_downcast::<PgDatabaseError>() {
                Ok(err) => from_server(&err),
                Err(_) => Self::Answer("an error without a SQLSTATE".to_owned()),
            },
            // rustls reports a bad certificate as invalid data.
            sqlx::Error::Io(err) if err.kind() == io::ErrorKind::InvalidData => {
                Self::Tls(err.to_string())
            }
            sqlx::Error::Io(err) => Self::Unreachable(err.to_string()),
            sqlx::Error::Tls(err) => Self::Tls(err.to_string()),
            // Only the preparation of names and passwords ends here, and its text quotes them.
            sqlx::Error::Configuration(_) => Self::Unprepared,
            sqlx::Error::RowNotFound => Self::Answer("no row".to_owned()),
            sqlx::Error::ColumnDecode { index, .. } => Self::Answer(format!("column {index}")),
            _ => Self::Answer("a message out of order".to_owned()),
        }
    }
}

/// SQLSTATEs: manual appendix A.
fn from_server(err: &PgDatabaseError) -> Kind {
    let (class, code) = (err.code().get(..2).unwrap_or_default(), err.code());
    match (class, code) {
        ("28", _) => Kind::RefusedLogin(words(err)),
        (_, "42501") => Kind::Forbidden(words(err)),
        (_, "55P03") => Kind::LockTimeout,
        (_, "55006") => Kind::InUse(words(err)),
        (_, "2BP01") => Kind::StillOwns(words(err)),
        (_, "3D000") => Kind::NoDatabase(words(err)),
        // A duplicate or a missing role, database, schema, table or function, a serialisation
        // failure or a deadlock: what was observed is no longer so.
        (_, "42710" | "42P04" | "42P06" | "42723" | "42704" | "3F000" | "42P01" | "42883") => {
            Kind::Changed(words(err))
        }
        // A unique index of a catalog may lose a race that 42710 usually wins.
        (_, "40001" | "40P01" | "23505") => Kind::Changed("a concurrent change".to_owned()),
        // Two writers of one catalog row; the server has no SQLSTATE of its own for it.
        (_, "XX000") if err.message().starts_with("tuple concurrently ") => {
            Kind::Changed("a concurrent change".to_owned())
        }
        // A full server answers with the same code, and before it asks for a password. The name of
        // the function that raised it is not translated.
        (_, "53300") if err.routine() == Some("InitializeSessionUserId") => Kind::LoginFull,
        (_, "25006") => Kind::NoPrimary,
        (_, "57014") => Kind::NotReady("the statement took too long".to_owned()),
        ("08" | "53" | "57", _) | (_, "55000") => Kind::NotReady(words(err)),
        (_, "42601") => Kind::Statement(code.to_owned()),
        _ => Kind::Refused(code.to_owned()),
    }
}

/// The server's message and, for rights and dependencies, its detail, on one line.
fn words(err: &PgDatabaseError) -> String {
    /// Enough for a handful of objects.
    const LIMIT: usize = 400;
    let detail = match err.code() {
        "42501" | "2BP01" | "55006" => err.detail(),
        _ => None,
    };
    let text: Cow<'_, str> = match detail {
        Some(detail) => format!("{}: {}", err.message(), detail.replace('\n', ", ")).into(),
        None => err.message().into(),
    };
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}
