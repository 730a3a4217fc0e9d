//! Cuts a template into texts and the tokens of actions.

use super::error::{Error, Problem};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// What stands outside of actions.
    Text(String),
    Open,
    Close,
    /// A function or a keyword.
    Word(String),
    /// `.key`; glued to what stands before it, or alone.
    Field {
        key: String,
        is_glued: bool,
    },
    Dot,
    /// With its dollar sign.
    Variable(String),
    Literal(String),
    Number(String),
    Pipe,
    Comma,
    Declare,
    LeftParen,
    RightParen,
}

/// Tokens, each with the line it begins on.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, Error> {
    let mut lexer = Lexer {
        rest: source,
        line: 1,
        tokens: Vec::new(),
    };
    let mut is_trimmed = false;
    while !lexer.rest.is_empty() {
        is_trimmed = lexer.text_and_action(is_trimmed)?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    rest: &'s str,
    line: usize,
    tokens: Vec<(Token, usize)>,
}

impl<'s> Lexer<'s> {
    /// Text up to the next action, and that action. Returns whether it trims the text behind it.
    fn text_and_action(&mut self, is_trimmed: bool) -> Result<bool, Error> {
        let (text, action) = match self.rest.split_once("{{") {
            Some((text, rest)) => (text, Some(rest)),
            None => (self.rest, None),
        };
        let trims = |rest: &str| {
            let rest = rest.strip_prefix('-');
            rest.is_some_and(|rest| rest.starts_with(char::is_whitespace))
        };
        let mut shown = text;
        if is_trimmed {
            shown = shown.trim_start();
        }
        if action.is_some_and(trims) {
            shown = shown.trim_end();
        }
        if !shown.is_empty() {
            self.push(Token::Text(shown.to_owned()));
        }
        self.skip(text.len());
        let Some(action) = action else {
            return Ok(false);
        };
        self.skip(if trims(action) { 3 } else { 2 });
        if let Some(comment) = self.rest.trim_start().strip_prefix("/*") {
            let (_, rest) = comment.split_once("*/").ok_or(self.unfinished())?;
            self.skip(self.rest.len() - rest.len());
            return self.close().ok_or(self.unfinished());
        }
        self.push(Token::Open);
        loop {
            if let Some(trims) = self.close() {
                self.push(Token::Close);
                return Ok(trims);
            }
            self.token()?;
        }
    }

    /// Passes the end of an action, if it comes next; true if it trims.
    fn close(&mut self) -> Option<bool> {
        let found = self.rest.trim_start();
        let spaces = self.rest.len() - found.len();
        let (length, trims) = match found.strip_prefix("-}}") {
            Some(_) if spaces > 0 => (3, true),
            _ => (found.starts_with("}}").then_some(2)?, false),
        };
        self.skip(spaces + length);
        Some(trims)
    }

    fn token(&mut self) -> Result<(), Error> {
        let found = self.rest.trim_start();
        let is_glued = found.len() == self.rest.len();
        self.skip(self.rest.len() - found.len());
        let Some(first) = self.rest.chars().next() else {
            return Err(self.unfinished());
        };
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
        let token = match first {
            '|' => self.simple(1, Token::Pipe),
            ',' => self.simple(1, Token::Comma),
            '(' => self.simple(1, Token::LeftParen),
            ')' => self.simple(1, Token::RightParen),
            ':' if self.rest.starts_with(":=") => self.simple(2, Token::Declare),
            '=' => return Err(self.unsupported("assignment with =")),
            '\'' => return Err(self.unsupported("a character in single quotes")),
            '`' => {
                let inner = self.rest.get(1..).unwrap_or_default();
                let (text, _) = inner.split_once('`').ok_or(self.unfinished())?;
                self.simple(text.len() + 2, Token::Literal(text.to_owned()))
            }
            '"' => self.quoted()?,
            '.' => {
                let key = self.taken(1, is_letter);
                match key {
                    "" => self.simple(1, Token::Dot),
                    key => {
                        let key = key.to_owned();
                        self.simple(key.len() + 1, Token::Field { key, is_glued })
                    }
                }
            }
            '$' => {
                let name = format!("${}", self.taken(1, is_letter));
                self.simple(name.len(), Token::Variable(name))
            }
            c if c.is_ascii_digit() || c == '-' || c == '+' => {
                let digits = self.taken(1, |c| is_letter(c) || c == '.');
                let number = format!("{c}{digits}");
                self.simple(number.len(), Token::Number(number))
            }
            c if is_letter(c) => {
                let word = self.taken(0, is_letter).to_owned();
                self.simple(word.len(), Token::Word(word))
            }
            _ => return Err(self.unsupported("a character that means nothing in an action")),
        };
        self.push(token);
        Ok(())
    }

    /// An interpreted string, with the usual escapes of Go.
    fn quoted(&mut self) -> Result<Token, Error> {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => text.push(match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(c @ ('"' | '\\')) => c,
                    Some(_) => {
                        return Err(self.unsupported("an escape other than \\n \\t \\r \\\" \\\\"));
                    }
                    None => return Err(self.unfinished()),
                }),
                Some('\n') | None => return Err(self.unfinished()),
                Some(c) => text.push(c),
            }
        }
        let length = self.rest.len() - chars.as_str().len();
        Ok(self.simple(length, Token::Literal(text)))
    }

    /// What follows from byte `from` on, as long as `belongs` holds.
    fn taken(&self, from: usize, belongs: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest.get(from..).unwrap_or_default();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        rest.get(..length).unwrap_or_default()
    }

    fn simple(&mut self, length: usize, token: Token) -> Token {
        self.skip(length);
        token
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn skip(&mut self, length: usize) {
        let (passed, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    fn unfinished(&self) -> Error {
        self.error(Problem::Unfinished)
    }

    fn unsupported(&self, construct: &str) -> Error {
        self.error(Problem::Unsupported(construct.to_owned()))
    }

    fn error(&self, problem: Problem) -> Error {
        Error {
            line: self.line,
            problem,
        }
    }
}
