//! Nodes and a context to text. Errors name a function and a line, never a value.

use super::ast::{Arm, Call, Node, Operand, Pipeline, Range, Stage};
use super::functions::{Apply, Failure, lookup};
use crate::value::{Text, Value};

/// Why a template that was parsed gives no text with the values at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the template: {what}: {failure}")]
pub struct Error {
    pub line: usize,
    /// A function, or how a key is looked up.
    pub what: &'static str,
    pub failure: Failure,
}

pub(super) fn render(nodes: &[Node], context: &Value) -> Result<Text, Error> {
    let mut scope = Scope {
        dot: context.clone(),
        variables: vec![("$", context.clone())],
        out: Text::default(),
    };
    scope.nodes(nodes)?;
    Ok(scope.out)
}

struct Scope<'t> {
    dot: Value,
    variables: Vec<(&'t str, Value)>,
    out: Text,
}

impl<'t> Scope<'t> {
    fn nodes(&mut self, nodes: &'t [Node]) -> Result<(), Error> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipeline) => self.pipeline(pipeline)?.print(&mut self.out),
                Node::Declare(name, pipeline) => {
                    let value = self.pipeline(pipeline)?;
                    self.variables.push((name, value));
                }
                Node::If(arms, otherwise) => self.branch(arms, otherwise, Dot::Stays)?,
                Node::With(arms, otherwise) => self.branch(arms, otherwise, Dot::Moves)?,
                Node::Range(range) => self.range(range)?,
            }
        }
        Ok(())
    }

    fn branch(&mut self, arms: &'t [Arm], otherwise: &'t [Node], dot: Dot) -> Result<(), Error> {
        let known = self.variables.len();
        for arm in arms {
            let value = self.pipeline(&arm.condition)?;
            if let Some(name) = &arm.variable {
                self.variables.push((name, value.clone()));
            }
            if value.is_true() {
                match dot {
                    Dot::Stays => self.nodes(&arm.body)?,
                    Dot::Moves => self.with_dot(value, &arm.body)?,
                }
                self.variables.truncate(known);
                return Ok(());
            }
        }
        self.nodes(otherwise)?;
        self.variables.truncate(known);
        Ok(())
    }

    fn range(&mut self, range: &'t Range) -> Result<(), Error> {
        let items: Vec<(Value, Value)> = match self.pipeline(&range.over)? {
            Value::List(items) => {
                let numbered = (0..).map(Value::Int).zip(items);
                numbered.collect()
            }
            Value::Map(entries) => {
                let entries = entries.into_iter();
                entries
                    .map(|(key, value)| (Value::text(key), value))
                    .collect()
            }
            Value::Null => Vec::new(),
            _ => {
                return Err(Error {
                    line: first_line(&range.over),
                    what: "range",
                    failure: Failure("neither a list nor a map"),
                });
            }
        };
        let known = self.variables.len();
        if items.is_empty() {
            self.nodes(&range.otherwise)?;
        }
        for (key, value) in items {
            if let Some(name) = &range.key {
                self.variables.push((name, key));
            }
            if let Some(name) = &range.value {
                self.variables.push((name, value.clone()));
            }
            self.with_dot(value, &range.body)?;
            self.variables.truncate(known);
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn with_dot(&mut self, dot: Value, nodes: &'t [Node]) -> Result<(), Error> {
        let known = self.variables.len();
        let outer = std::mem::replace(&mut self.dot, dot);
        let result = self.nodes(nodes);
        self.dot = outer;
        self.variables.truncate(known);
        result
    }

    fn pipeline(&self, pipeline: &Pipeline) -> Result<Value, Error> {
        let mut value = match &pipeline.first {
            Stage::Operand(operand) => self.operand(operand)?,
            Stage::Call(call) => self.call(call, None)?,
        };
        for call in &pipeline.calls {
            value = self.call(call, Some(value))?;
        }
        Ok(value)
    }

    fn call(&self, call: &Call, piped: Option<Value>) -> Result<Value, Error> {
        let until = match call.function.apply {
            Apply::Plain(apply) => {
                let arguments = call.arguments.iter().map(|operand| self.operand(operand));
                let mut arguments = arguments.collect::<Result<Vec<_>, _>>()?;
                arguments.extend(piped);
                return apply(&arguments).map_err(|failure| Error {
                    line: call.line,
                    what: call.function.name,
                    failure,
                });
            }
            Apply::FirstThatIs(truth) => truth,
        };
        // `and` and `or` look at no more arguments than they need.
        let mut last = Value::Null;
        for operand in &call.arguments {
            last = self.operand(operand)?;
            if last.is_true() == until {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    fn operand(&self, operand: &Operand) -> Result<Value, Error> {
        match operand {
            Operand::Dot => Ok(self.dot.clone()),
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Pipeline(pipeline) => self.pipeline(pipeline),
            // The parser has seen its declaration.
            Operand::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                Ok(found.map_or(Value::Null, |(_, value)| value.clone()))
            }
            Operand::Field { of, keys, line } => {
                let mut value = self.operand(of)?;
                for key in keys {
                    value =
                        lookup(&value, &Value::text(key.as_str())).map_err(|failure| Error {
                            line: *line,
                            what: "a key behind a dot",
                            failure,
                        })?;
                }
                Ok(value)
            }
        }
    }
}

/// Whether the value of the condition becomes dot.
#[derive(Clone, Copy)]
enum Dot {
    Stays,
    Moves,
}

fn first_line(pipeline: &Pipeline) -> usize {
    match (&pipeline.first, pipeline.calls.first()) {
        (Stage::Call(call), _) | (_, Some(call)) => call.line,
        (Stage::Operand(Operand::Field { line, .. }), None) => *line,
        (Stage::Operand(_), None) => 1,
    }
}
