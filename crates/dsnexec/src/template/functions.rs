//! The functions of templates: Go's own, and sprig's for texts, encodings and defaults.
//! Failures are constant sentences, so that no value gets into one.

mod builtin;
mod encode;
mod sprig;

use crate::value::Value;

/// What a function says about values that it can't work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub &'static str);

pub(super) type Outcome = Result<Value, Failure>;

pub(super) struct Function {
    pub(super) name: &'static str,
    /// How many arguments it takes, the piped one included.
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) apply: Apply,
}

#[derive(Clone, Copy)]
pub(super) enum Apply {
    Plain(fn(&[Value]) -> Outcome),
    /// `or` (true) and `and` (false): the first argument of that truth, or the last of all.
    FirstThatIs(bool),
}

const fn plain(
    name: &'static str,
    least: usize,
    most: usize,
    apply: fn(&[Value]) -> Outcome,
) -> Function {
    Function {
        name,
        least,
        most,
        apply: Apply::Plain(apply),
    }
}

pub(super) fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// All names, for the reference.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|function| function.name)
}

fn all() -> impl Iterator<Item = &'static Function> {
    builtin::FUNCTIONS.iter().chain(&sprig::FUNCTIONS)
}

pub(super) use self::builtin::lookup;
