//! What sources give and templates work with. Any text may be a password: it is wiped when dropped,
//! and nothing here can be formatted but by a template's own printing.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// A text that is wiped when dropped.
pub type Text = Zeroizing<String>;

#[derive(Clone)]
pub enum Value {
    Null,
    Bool(bool),
    /// Holds all of 64 bits, signed or not.
    Int(i128),
    Float(f64),
    Text(Text),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// What Go's templates take for true: all but zero, empty and nothing.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(is_true) => *is_true,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    /// Appends the value as Go prints it, except that a missing one is empty, and that numbers
    /// never have an exponent.
    pub fn print(&self, out: &mut String) {
        match self {
            Self::Null => {}
            Self::Bool(is_true) => out.push_str(if *is_true { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&number.to_string()),
            Self::Text(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        out.push(' ');
                    }
                    item.print(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push_str("map[");
                for (number, (key, value)) in entries.iter().enumerate() {
                    if number > 0 {
                        out.push(' ');
                    }
                    out.push_str(key);
                    out.push(':');
                    value.print(out);
                }
                out.push(']');
            }
        }
    }

    pub fn printed(&self) -> Text {
        let mut text = Text::default();
        self.print(&mut text);
        text
    }

    /// Every text in it, at any depth, but not the keys.
    pub fn texts<'v>(&'v self, found: &mut Vec<&'v str>) {
        match self {
            Self::Text(text) => found.push(text),
            Self::List(items) => items.iter().for_each(|item| item.texts(found)),
            Self::Map(entries) => entries.values().for_each(|item| item.texts(found)),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => {}
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(is_true) => Self::Bool(is_true),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Int(number.into()),
                (None, Some(number)) => Self::Int(number.into()),
                (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => {
                Self::List(items.into_iter().map(Self::from).collect())
            }
            serde_json::Value::Object(entries) => {
                let entries = entries.into_iter();
                Self::Map(entries.map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}
