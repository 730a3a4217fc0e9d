//! The proxy between the Rust driver and real mongods.

mod frames;
mod load;
mod protocol;
mod raw;
mod rotation;
mod stage;
mod tls;
mod topology;
