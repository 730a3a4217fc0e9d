//! Why a text is no template of ours.

/// What is wrong, and on which line of the template, from 1. Never quotes a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the template: {problem}")]
pub struct Error {
    pub line: usize,
    pub problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error("there is no function {0}, or it is not supported")]
    UnknownFunction(String),
    #[error("{function} takes {want}, and not {given}")]
    Arguments {
        function: &'static str,
        want: String,
        given: usize,
    },
    #[error("variable {0} is not declared here")]
    UnknownVariable(String),
    #[error("an action, a text or a comment has no end")]
    Unfinished,
    #[error("{0} has no {{{{ end }}}}")]
    NoEnd(&'static str),
    #[error("{0} belongs to nothing")]
    Stray(&'static str),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} stands where it can't")]
    Misplaced(&'static str),
    #[error("a number is not one, or has more than 64 bits")]
    Number,
    #[error("actions or parentheses in more than 50 others")]
    TooDeep,
}
