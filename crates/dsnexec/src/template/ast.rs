//! What a template consists of.

use super::functions::Function;
use crate::value::Value;

pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    /// `{{ $x := pipeline }}`
    Declare(String, Pipeline),
    If(Vec<Arm>, Vec<Node>),
    /// Its body sees the pipeline's value as dot.
    With(Vec<Arm>, Vec<Node>),
    Range(Box<Range>),
}

/// A condition and what happens if it is true; `variable` is what `:=` in the condition declares.
pub(super) struct Arm {
    pub(super) variable: Option<String>,
    pub(super) condition: Pipeline,
    pub(super) body: Vec<Node>,
}

pub(super) struct Range {
    /// Index or key.
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) over: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Each stage is the last argument of the next one.
pub(super) struct Pipeline {
    pub(super) first: Stage,
    pub(super) calls: Vec<Call>,
}

pub(super) enum Stage {
    Operand(Operand),
    Call(Call),
}

pub(super) struct Call {
    pub(super) function: &'static Function,
    pub(super) arguments: Vec<Operand>,
    pub(super) line: usize,
}

pub(super) enum Operand {
    Dot,
    Variable(String),
    Literal(Value),
    /// Keys in keys of the operand.
    Field {
        of: Box<Operand>,
        keys: Vec<String>,
        line: usize,
    },
    Pipeline(Box<Pipeline>),
}
