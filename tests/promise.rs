//! The promise: at every instant, the DSN in the published Secret authenticates.
//! Probers log in without pause with whatever the Secrets hold, while controllers are killed,
//! frozen and doubled. What is counted is printed, so that it can be quoted.

mod application;
mod faulty;
mod kills;
mod prober;
mod restart;
mod revocation;
mod split_brain;
pub(crate) mod turnover;

pub(crate) use faulty::{Fault, Faulty};
