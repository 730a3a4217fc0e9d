//! Observes and changes PostgreSQL for db-controller: answers the engine's questions, carries out
//! its steps, proves a login before it is published.
//! Decides nothing: what is asked and what is done comes from `engine`. Knows no Kubernetes.

mod sql;

mod admins;
mod connect;
mod error;
mod proof;
mod session;
mod verifier;

mod contents;
mod observe;

mod apply;
mod clients;
mod fence;
mod lent;
mod populate;
mod refusals;
mod rights;
mod share;

pub use engine::timeouts::Timeouts;

pub use self::{
    admins::Admins,
    error::{Error, Kind},
    fence::Locked,
    populate::Failure,
    proof::log_in,
    session::Session,
    share::Shared,
    verifier::Verifier,
};
