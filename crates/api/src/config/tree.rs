//! YAML text to a tree in which every key and value knows its line.
//!
//! Nothing is typed here, because the file is read as the original read it: `"60"` and `60` are
//! the same number, and which text is a truth value depends on the key. Aliases and merge keys
//! (`<<`) are resolved.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, options};

use super::problem::Problem;

/// A value and the line on which it starts.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// `key: value` in a map. The line is the key's.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

/// The first document of a file, and the line of a second one, which nobody reads.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Node,
    pub(super) second: Option<usize>,
}

/// Enough for thousands of host blocks; ends a file whose aliases multiply.
const MOST_NODES: usize = 100_000;

pub(super) fn parse(text: &str) -> Result<Document, Problem> {
    let parser = Parser::new_from_str_with_options(text, options! { emit_comments: false });
    let mut builder = Builder {
        parser,
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    let mut root = None;
    let mut second = None;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamStart | Event::DocumentEnd => {}
            Event::DocumentStart(..) if root.is_some() => {
                second = Some(span.start.line());
                break;
            }
            Event::DocumentStart(..) => root = Some(builder.node()?),
            _ => break,
        }
    }
    let root = root.unwrap_or(Node {
        line: 1,
        value: Value::Null,
    });
    Ok(Document { root, second })
}

impl Node {
    /// What kind of value this is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(text) if text.parse::<f64>().is_ok() => "a number",
            Value::Scalar(text) if text.is_empty() => "empty text",
            Value::Scalar(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        self.parser.next().transpose().map_err(|err| syntax(&err))
    }

    fn node(&mut self) -> Result<Node, Problem> {
        let (event, span) = self.next()?.ok_or_else(|| unexpected(None))?;
        self.node_from(event, span)
    }

    fn node_from(&mut self, event: Event<'a>, span: Span) -> Result<Node, Problem> {
        let line = span.start.line();
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, scalar(&text, style)),
            Event::SequenceStart(_, anchor, _) => (anchor, Value::List(self.list()?)),
            Event::MappingStart(_, anchor, _) => (anchor, Value::Map(self.map()?)),
            Event::Alias(anchor) => (0, self.anchored(anchor, line)?),
            _ => return Err(unexpected(Some(line))),
        };
        self.count(1, line)?;
        let node = Node { line, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                None | Some((Event::SequenceEnd, _)) => return Ok(items),
                Some((event, span)) => items.push(self.node_from(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Entry>, Problem> {
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                None | Some((Event::MappingEnd, _)) => break,
                Some((event, span)) => self.node_from(event, span)?,
            };
            let node = self.node()?;
            let Node { line, value } = key;
            match value {
                Value::Scalar(key) if key == "<<" => merged.extend(merge_sources(node)?),
                Value::Scalar(key) => entries.push(Entry { key, line, node }),
                Value::Null => entries.push(Entry {
                    key: "null".to_owned(),
                    line,
                    node,
                }),
                Value::List(_) | Value::Map(_) => {
                    return Err(Problem::new(
                        "",
                        Some(line),
                        "a key must be text, not a list or a map",
                    ));
                }
            }
        }
        for entry in merged {
            if !entries
                .iter()
                .any(|own| own.key.eq_ignore_ascii_case(&entry.key))
            {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    fn anchored(&mut self, anchor: usize, line: usize) -> Result<Value, Problem> {
        // An anchor is known only after its end, so a value cannot hold itself.
        let node = self
            .anchors
            .get(&anchor)
            .cloned()
            .ok_or_else(|| unexpected(Some(line)))?;
        self.count(size(&node), line)?;
        Ok(node.value)
    }

    fn count(&mut self, more: usize, line: usize) -> Result<(), Problem> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            let message = format!("the file has more than {MOST_NODES} values");
            return Err(Problem::new("", Some(line), message));
        }
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let is_plain = style == ScalarStyle::Plain;
    if is_plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar(text.to_owned())
}

/// The entries that `<<: value` brings in.
fn merge_sources(node: Node) -> Result<Vec<Entry>, Problem> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) => {
            let maps: Result<Vec<_>, _> = items.into_iter().map(merge_sources).collect();
            Ok(maps?.into_iter().flatten().collect())
        }
        Value::Null | Value::Scalar(_) => Err(Problem::new(
            "<<",
            Some(node.line),
            "expected a map to merge",
        )),
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}

fn syntax(err: &ScanError) -> Problem {
    let mark = err.marker();
    Problem::new(
        "",
        Some(mark.line()),
        format!("not valid YAML: {}", err.info()),
    )
    .at_column(mark.col() + 1)
}

fn unexpected(line: Option<usize>) -> Problem {
    Problem::new(
        "",
        line,
        "not valid YAML: a value is missing or refers to itself",
    )
}
