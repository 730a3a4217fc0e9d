//! The sidecars' stories: pods on a real node, injected by the release's own registrations, that
//! know only localhost and go through rotations. A binary of its own, so that the node's pods have
//! the machine to themselves.

mod consumers;
mod injected;
mod outages;
mod place;
mod pods;
mod release;
mod restarts;
mod revoke;
mod rotations;
mod sample;
mod session;
#[path = "../support.rs"]
#[allow(dead_code, reason = "the other stories use the rest")]
mod support;
mod work;
mod world;
