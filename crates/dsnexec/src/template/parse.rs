//! Tokens to nodes. Everything that can be known before a value is there is checked here.

use super::ast::{Arm, Call, Node, Operand, Pipeline, Range, Stage};
use super::error::{Error, Problem};
use super::functions::{self, Function};
use super::lex::{Token, tokens};
use crate::value::Value;

/// Ends templates that would otherwise overflow the stack.
const DEPTH: usize = 50;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        position: 0,
        variables: vec!["$".to_owned()],
        depth: 0,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Last::Text => Ok(nodes),
        Last::End => Err(parser.error(Problem::Stray("end"))),
        Last::Else => Err(parser.error(Problem::Stray("else"))),
    }
}

/// What a list of nodes ended with. After `else` the rest of its action is still to be read.
enum Last {
    Text,
    End,
    Else,
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    position: usize,
    /// Those declared so far, the innermost last.
    variables: Vec<String>,
    depth: usize,
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, Last), Error> {
        let mut nodes = Vec::new();
        while let Some(token) = self.next() {
            if let Token::Text(text) = token {
                nodes.push(Node::Text(text));
                continue;
            }
            // All that stands outside of actions is text; so this opens one.
            let keyword = match self.peek() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" => {
                    self.next();
                    self.close()?;
                    return Ok((nodes, Last::End));
                }
                "else" => {
                    self.next();
                    return Ok((nodes, Last::Else));
                }
                "if" => nodes.push(self.block("if", Node::If)?),
                "with" => nodes.push(self.block("with", Node::With)?),
                "range" => nodes.push(self.range()?),
                "define" | "template" | "block" | "break" | "continue" => {
                    return Err(self.error(Problem::Unsupported(keyword)));
                }
                _ => nodes.push(self.action()?),
            }
        }
        Ok((nodes, Last::Text))
    }

    fn action(&mut self) -> Result<Node, Error> {
        let variable = self.declaration()?;
        let pipeline = self.pipeline()?;
        self.close()?;
        Ok(match variable {
            None => Node::Print(pipeline),
            Some(name) => {
                self.variables.push(name.clone());
                Node::Declare(name, pipeline)
            }
        })
    }

    /// `if` or `with`, which read the same.
    fn block(
        &mut self,
        keyword: &'static str,
        node: impl Fn(Vec<Arm>, Vec<Node>) -> Node,
    ) -> Result<Node, Error> {
        self.deeper()?;
        let known = self.variables.len();
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            self.expect_word(keyword)?;
            let variable = self.declaration()?;
            let condition = self.pipeline()?;
            self.close()?;
            self.variables.extend(variable.clone());
            let (body, end) = self.scoped()?;
            arms.push(Arm {
                variable,
                condition,
                body,
            });
            match end {
                Last::End => break,
                Last::Text => return Err(self.error(Problem::NoEnd(keyword))),
                Last::Else if matches!(self.peek(), Some(Token::Close)) => {
                    otherwise = self.last_branch(keyword)?;
                    break;
                }
                Last::Else => {}
            }
        }
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(node(arms, otherwise))
    }

    fn range(&mut self) -> Result<Node, Error> {
        self.deeper()?;
        let known = self.variables.len();
        self.expect_word("range")?;
        let (key, value) = self.range_variables()?;
        let over = self.pipeline()?;
        self.close()?;
        self.variables.extend(key.clone());
        self.variables.extend(value.clone());
        let (body, end) = self.scoped()?;
        self.variables.truncate(known);
        let otherwise = match end {
            Last::End => Vec::new(),
            Last::Else => self.last_branch("range")?,
            Last::Text => return Err(self.error(Problem::NoEnd("range"))),
        };
        self.depth -= 1;
        Ok(Node::Range(Box::new(Range {
            key,
            value,
            over,
            body,
            otherwise,
        })))
    }

    /// `$value :=`, `$key, $value :=`, or nothing.
    fn range_variables(&mut self) -> Result<(Option<String>, Option<String>), Error> {
        if let (Some(Token::Variable(key)), Some(Token::Comma)) = (self.peek(), self.peek_at(1)) {
            let key = key.clone();
            self.position += 2;
            let value = self.declaration()?;
            let value = value.ok_or_else(|| self.error(Problem::Missing(":=")))?;
            return Ok((Some(key), Some(value)));
        }
        Ok((None, self.declaration()?))
    }

    /// What stands behind `else`, up to `end`.
    fn last_branch(&mut self, keyword: &'static str) -> Result<Vec<Node>, Error> {
        self.close()?;
        match self.scoped()? {
            (nodes, Last::End) => Ok(nodes),
            (_, Last::Else) => Err(self.error(Problem::Stray("else"))),
            (_, Last::Text) => Err(self.error(Problem::NoEnd(keyword))),
        }
    }

    /// Nodes whose variables end with them.
    fn scoped(&mut self) -> Result<(Vec<Node>, Last), Error> {
        let known = self.variables.len();
        let nodes = self.nodes()?;
        self.variables.truncate(known);
        Ok(nodes)
    }

    fn declaration(&mut self) -> Result<Option<String>, Error> {
        if let (Some(Token::Variable(name)), Some(Token::Declare)) = (self.peek(), self.peek_at(1))
        {
            let name = name.clone();
            if name == "$" {
                return Err(self.error(Problem::Misplaced("$ before :=")));
            }
            self.position += 2;
            return Ok(Some(name));
        }
        Ok(None)
    }

    fn pipeline(&mut self) -> Result<Pipeline, Error> {
        self.deeper()?;
        let first = match self.peek() {
            Some(Token::Word(word)) if !is_constant(word) => Stage::Call(self.call(0)?),
            _ => {
                let operand = self.operand()?;
                let operand = operand.ok_or_else(|| self.error(Problem::Missing("a value")))?;
                if self.operand()?.is_some() {
                    return Err(self.error(Problem::Misplaced("a value behind a value")));
                }
                Stage::Operand(operand)
            }
        };
        let mut calls = Vec::new();
        while matches!(self.peek(), Some(Token::Pipe)) {
            self.next();
            calls.push(self.call(1)?);
        }
        self.depth -= 1;
        Ok(Pipeline { first, calls })
    }

    /// A function and its arguments, of which `piped` come from the stage before.
    fn call(&mut self, piped: usize) -> Result<Call, Error> {
        let line = self.line();
        let Some(Token::Word(name)) = self.next() else {
            return Err(self.error(Problem::Missing("a function behind |")));
        };
        let function = functions::find(&name)
            .ok_or_else(|| self.error(Problem::UnknownFunction(name.clone())))?;
        let mut arguments = Vec::new();
        while let Some(operand) = self.operand()? {
            arguments.push(operand);
        }
        self.check_count(function, arguments.len() + piped)?;
        Ok(Call {
            function,
            arguments,
            line,
        })
    }

    fn check_count(&self, function: &'static Function, given: usize) -> Result<(), Error> {
        let Function {
            name, least, most, ..
        } = function;
        let (least, most) = (*least, *most);
        if given >= least && given <= most {
            return Ok(());
        }
        let want = match most {
            usize::MAX => format!("{least} or more arguments"),
            most if most == least => format!("{least} arguments"),
            most => format!("{least} to {most} arguments"),
        };
        Err(self.error(Problem::Arguments {
            function: name,
            want,
            given,
        }))
    }

    fn operand(&mut self) -> Result<Option<Operand>, Error> {
        let operand = match self.peek() {
            Some(Token::Dot) => Operand::Dot,
            Some(Token::Field { key, .. }) => Operand::Field {
                of: Box::new(Operand::Dot),
                keys: vec![key.clone()],
                line: self.line(),
            },
            Some(Token::Variable(name)) => {
                if !self.variables.contains(name) {
                    return Err(self.error(Problem::UnknownVariable(name.clone())));
                }
                Operand::Variable(name.clone())
            }
            Some(Token::Literal(text)) => Operand::Literal(Value::text(text.as_str())),
            Some(Token::Number(digits)) => {
                let number = number(digits).ok_or_else(|| self.error(Problem::Number))?;
                Operand::Literal(number)
            }
            Some(Token::Word(word)) => match constant(word) {
                Some(value) => Operand::Literal(value),
                None => {
                    return Err(self.error(Problem::Unsupported(format!(
                        "function {word} as an argument without parentheses"
                    ))));
                }
            },
            Some(Token::LeftParen) => {
                self.next();
                let pipeline = self.pipeline()?;
                if !matches!(self.peek(), Some(Token::RightParen)) {
                    return Err(self.error(Problem::Missing(")")));
                }
                Operand::Pipeline(Box::new(pipeline))
            }
            _ => return Ok(None),
        };
        self.next();
        self.fields(operand).map(Some)
    }

    /// Keys glued to an operand, as in `$x.a.b`.
    fn fields(&mut self, operand: Operand) -> Result<Operand, Error> {
        let line = self.line();
        let mut keys = Vec::new();
        while let Some(Token::Field {
            key,
            is_glued: true,
        }) = self.peek()
        {
            keys.push(key.clone());
            self.next();
        }
        Ok(match operand {
            operand if keys.is_empty() => operand,
            Operand::Literal(_) => return Err(self.error(Problem::Misplaced("a key of a literal"))),
            operand => Operand::Field {
                of: Box::new(operand),
                keys,
                line,
            },
        })
    }

    fn close(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(Token::Close) => {
                self.next();
                Ok(())
            }
            None => Err(self.error(Problem::Unfinished)),
            Some(Token::Declare) => Err(self.error(Problem::Misplaced(":="))),
            Some(Token::RightParen) => Err(self.error(Problem::Misplaced(")"))),
            Some(_) => Err(self.error(Problem::Misplaced("a part of an action"))),
        }
    }

    fn expect_word(&mut self, keyword: &'static str) -> Result<(), Error> {
        match self.next() {
            Some(Token::Word(word)) if word == keyword => Ok(()),
            _ => Err(self.error(Problem::Misplaced("what follows else"))),
        }
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error(Problem::TooDeep));
        }
        Ok(())
    }

    fn peek(&self) -> Option<&Token> {
        self.peek_at(0)
    }

    fn peek_at(&self, offset: usize) -> Option<&Token> {
        let found = self.tokens.get(self.position + offset);
        found.map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.position += 1;
        token
    }

    /// The line of the next token, or of the last one.
    fn line(&self) -> usize {
        let position = self.position.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(position).map_or(1, |(_, line)| *line)
    }

    /// At the token that was looked at, or read, last.
    fn error(&self, problem: Problem) -> Error {
        Error {
            line: self.line(),
            problem,
        }
    }
}

fn constant(word: &str) -> Option<Value> {
    match word {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "nil" => Some(Value::Null),
        _ => None,
    }
}

fn is_constant(word: &str) -> bool {
    constant(word).is_some()
}

fn number(digits: &str) -> Option<Value> {
    if let Ok(number) = digits.parse::<i64>() {
        return Some(Value::Int(number.into()));
    }
    // Not what Rust alone takes for a number, such as "inf".
    let is_plain = digits
        .chars()
        .all(|c| c.is_ascii_digit() || "+-.e".contains(c));
    let number: f64 = digits
        .parse()
        .ok()
        .filter(|_| is_plain && digits.contains(['.', 'e']))?;
    Some(Value::Float(number))
}
