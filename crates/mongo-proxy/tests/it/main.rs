//! The proxy between the Rust driver and real mongods.

mod frames;
mod load;
mod protocol;
mod raw;
mod rotation;
mod srv;
mod stage;
mod tls;
mod topology;
