//! Observes and changes MongoDB for db-controller: answers the engine's questions, carries out
//! its steps, proves a login before it is published.
//! Decides nothing: what is asked and what is done comes from `engine`. Knows no Kubernetes.

mod error;

mod admins;
mod connect;
mod members;
mod proof;
mod session;

mod mark;
mod observe;
mod users;

mod apply;
mod lease;
mod refusals;

pub use engine::timeouts::Timeouts;

pub use self::{
    admins::Admins,
    error::{Error, Kind},
    lease::Locked,
    proof::log_in,
    session::Session,
};
