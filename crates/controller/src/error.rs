//! Everything that can go wrong in a reconcile, each with the class that decides what happens next.

use std::time::Duration;

use engine::ErrorClass;

use crate::{engines::ServerError, quota::Exceeded};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Place(#[from] engine::place::Error),
    #[error(transparent)]
    Wishes(#[from] engine::wishes::Error),
    #[error(transparent)]
    Source(#[from] engine::source::Error),
    #[error(transparent)]
    RoleClaim(#[from] engine::role_claim::Refusal),
    #[error(transparent)]
    Refused(#[from] engine::decide::Refusal),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Password(#[from] engine::password::Error),
    #[error("the API server did not {operation}")]
    Kubernetes {
        operation: &'static str,
        source: kube::Error,
    },
    #[error("Secret {namespace}/{name}, which holds the admin's credential, does not exist")]
    AdminSecretMissing { namespace: String, name: String },
    #[error(
        "Secret {name} exists and does not belong to this claim; choose another secretName, or delete the Secret"
    )]
    ForeignSecret { name: String },
    #[error(
        "Secret {secret} of a role claim still names the login that is due, and could not be written"
    )]
    Copy {
        /// `namespace/name`.
        secret: String,
        source: Box<Error>,
    },
    #[error("the Secret changed while the credential was being replaced")]
    SecretMoved,
    #[error("a question about the claim was answered first")]
    Inspected,
    #[error("sessions of login {login}, which is revoked, do not end; look at the server")]
    SessionsStay { login: String },
    #[error("the claim was deleted while it was worked on")]
    Ended,
    #[error("the claim changed while it was worked on")]
    Outdated,
    #[error("the controller is stopping")]
    Stopping,
    #[error("the pass was given up after {limit:?}; it will be tried again")]
    TooLong { limit: Duration },
    #[error("server {server} did not answer several times in a row and is left alone for a while")]
    CircuitOpen { server: String, wait: Duration },
    #[error("server {server} holds {exceeded}")]
    Quota { server: String, exceeded: Exceeded },
    #[error("server {server} has a quota, and not all claims are known yet")]
    Uncounted { server: String },
    #[error(
        "the Secret's new credential was refused right after it was published, and was set again"
    )]
    NotConfirmed,
}

impl Error {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Place(err) => err.class(),
            Self::Wishes(err) => err.class(),
            Self::Source(err) => err.class(),
            Self::RoleClaim(err) => err.class(),
            Self::Copy { source, .. } => source.class(),
            Self::Refused(err) => err.class(),
            Self::Server(err) => err.class(),
            Self::Kubernetes { source, .. } => class_of(source),
            Self::AdminSecretMissing { .. } | Self::ForeignSecret { .. } | Self::Quota { .. } => {
                ErrorClass::Blocked
            }
            Self::SecretMoved
            | Self::NotConfirmed
            | Self::Inspected
            | Self::Ended
            | Self::Outdated => ErrorClass::Conflict,
            Self::CircuitOpen { .. } => ErrorClass::Unavailable,
            Self::Stopping
            | Self::TooLong { .. }
            | Self::SessionsStay { .. }
            | Self::Uncounted { .. } => ErrorClass::Transient,
            Self::Password(_) => ErrorClass::Bug,
        }
    }

    /// Names what the API server was asked for; used as `map_err(Error::kubernetes("…"))`.
    pub fn kubernetes(operation: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Kubernetes { operation, source }
    }
}

impl From<postgres::Error> for Error {
    fn from(err: postgres::Error) -> Self {
        Self::Server(err.into())
    }
}

impl From<mongo::Error> for Error {
    fn from(err: mongo::Error) -> Self {
        Self::Server(err.into())
    }
}

fn class_of(err: &kube::Error) -> ErrorClass {
    match err {
        kube::Error::Api(status) => match status.code {
            401 | 403 => ErrorClass::Forbidden,
            409 => ErrorClass::Conflict,
            429 | 500..=599 => ErrorClass::Unavailable,
            _ => ErrorClass::Transient,
        },
        _ => ErrorClass::Unavailable,
    }
}

/// The whole chain of an error in one line, without what a source repeats.
pub fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
