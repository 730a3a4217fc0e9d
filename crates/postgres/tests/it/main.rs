//! What this crate does to real servers of every supported version, with an admin that is a
//! superuser and one that is not.

mod admins;
mod contents;
mod crowd;
mod deletion;
mod drift;
mod login;
mod powers;
mod quoting;
mod refusals;
mod roles;
mod rotation;
mod shares;
mod stage;
