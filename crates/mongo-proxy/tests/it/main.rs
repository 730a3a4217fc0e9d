//! The proxy between the Rust driver and real mongods.

mod load;
mod protocol;
mod rotation;
mod stage;
mod tls;
mod topology;
