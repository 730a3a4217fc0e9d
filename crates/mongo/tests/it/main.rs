//! What this crate does to real mongods, alone and as replica sets, with an admin of the least
//! role that is enough.

mod admin;
mod logins;
mod members;
mod rotation;
mod server;
mod stage;
