//! What the stages of one pass at a server share.

use std::collections::HashMap;

use api::claim::DatabaseClaim;

use super::{happening::Happening, inputs::Inputs, observe::Target};
use crate::context::{Context, Scope};

/// A pass under way.
pub(super) struct Pass<'a> {
    pub claim: &'a DatabaseClaim,
    pub scope: &'a Scope,
    pub context: &'a Context,
    pub inputs: &'a Inputs,
    pub target: Target<'a>,
    /// The comments of the claim's roles, as this pass last saw or wrote them.
    pub comments: HashMap<String, String>,
    pub happenings: Vec<Happening>,
}
