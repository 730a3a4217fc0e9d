//! What this crate does to real mongods, alone and as replica sets, with an admin of the least
//! role that is enough.

#![expect(
    clippy::unwrap_used,
    reason = "what the stage is made of is written down here"
)]

mod admin;
mod copies;
mod drivers;
mod logins;
mod members;
mod refusals;
mod rotation;
mod stage;
mod tls;
