//! The machine that keeps one published credential: observe, keep or repair or replace it, retire
//! the earlier one. The same for claims and for role claims that have their own logins.

pub(crate) mod alive;
mod credential;
pub(crate) mod former_secret;
mod happening;
mod inspect;
mod observe;
mod pass;
pub(crate) mod record;
mod revoke;
mod rotate;
mod subject;

pub(crate) use self::{
    happening::{Happening, addresses},
    inspect::pods,
    observe::{Target, check_owner},
    pass::{Deferred, Pass, Published, Retired, Seen, Throttled},
    subject::Subject,
};
