//! The subset of Go's text/template, with functions of sprig, that configs may use. What is not in
//! it is refused when the template is parsed, naming construct and line.
//!
//! Actions: `{{ pipeline }}`, `{{ $x := pipeline }}`, `if`, `else if`, `else`, `range` (with no, one
//! or two variables), `with`, `end`, comments, and `{{-`, `-}}`. Operands: `.`, `.key`, `$`, `$x`,
//! `$x.key`, `(pipeline).key`, numbers, `"text"` and `` `text` ``, `true`, `false`, `nil`.
//! Functions: [`functions::names`].
//! Not supported: `define`, `template`, `block`, `break`, `continue`, assignment with `=`, and
//! characters in single quotes.
//!
//! One difference to Go: what is missing prints as nothing, not as `<no value>`, and looking for a
//! key in what is missing is an error.

mod ast;
mod error;
mod eval;
pub mod functions;
mod lex;
mod parse;

use crate::value::{Text, Value};

pub use self::error::{Error, Problem};
pub use self::eval::Error as RenderError;

/// A template that holds nothing but what is supported.
pub struct Template {
    nodes: Vec<ast::Node>,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let nodes = parse::parse(text)?;
        Ok(Self { nodes })
    }

    pub fn render(&self, context: &Value) -> Result<Text, RenderError> {
        eval::render(&self.nodes, context)
    }

    /// The text before the first action.
    pub fn beginning(&self) -> &str {
        match self.nodes.first() {
            Some(ast::Node::Text(text)) => text,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests;
