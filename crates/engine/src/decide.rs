//! The heart: from what is wished and what was seen to what is done. Pure, so that it can be
//! tested in every corner and printed before it is carried out.
//!
//! Applying a plan and observing again gives an empty plan.

mod administer;
mod contents;
mod credential;
mod differences;
mod farewell;
mod house;
mod mongo;
mod plan;
mod powers;
mod refusal;
mod retirement;
mod revocation;
mod share;
mod structure;
#[cfg(test)]
pub(crate) mod tests;

pub use self::{
    administer::lent_logins,
    contents::{ContentsPlan, contents},
    credential::{CredentialStep, credential},
    farewell::farewell,
    house::{House, house, only_observes},
    plan::plan,
    powers::{NoElevation, no_elevation},
    refusal::Refusal,
    retirement::{Retirement, retirement},
    revocation::{Revocation, revocation},
    share::{Parting, dropping, grants, is_take_over as is_shared_take_over, parting},
    structure::{is_take_over, structure},
};
