//! Go's own functions.

use std::cmp::Ordering;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Apply, Failure, Function, Outcome, plain};
use crate::format;
use crate::value::{Text, Value};

const ANY: usize = usize::MAX;

pub(super) static FUNCTIONS: [Function; 16] = [
    Function {
        name: "and",
        least: 1,
        most: ANY,
        apply: Apply::FirstThatIs(false),
    },
    Function {
        name: "or",
        least: 1,
        most: ANY,
        apply: Apply::FirstThatIs(true),
    },
    plain("not", 1, 1, |a| Ok(Value::Bool(!first(a).is_true()))),
    plain("index", 1, ANY, |a| {
        a.iter()
            .skip(1)
            .try_fold(first(a).clone(), |value, key| lookup(&value, key))
    }),
    plain("len", 1, 1, len),
    plain("eq", 2, ANY, |a| {
        for other in a.iter().skip(1) {
            if is_equal(first(a), other)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    plain("ne", 2, 2, |a| {
        Ok(Value::Bool(!is_equal(first(a), last(a))?))
    }),
    plain("lt", 2, 2, |a| ordered(a, Ordering::is_lt)),
    plain("le", 2, 2, |a| ordered(a, Ordering::is_le)),
    plain("gt", 2, 2, |a| ordered(a, Ordering::is_gt)),
    plain("ge", 2, 2, |a| ordered(a, Ordering::is_ge)),
    plain("print", 0, ANY, |a| Ok(Value::Text(print(a)))),
    plain("println", 0, ANY, |a| {
        let words: Vec<_> = a.iter().map(Value::printed).collect();
        let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
        Ok(Value::text(words.join(" ") + "\n"))
    }),
    plain("printf", 1, ANY, printf),
    plain("urlquery", 0, ANY, |a| {
        // As Go: a blank is a plus, and -_.~ stay.
        let text = print(a);
        let encoded = utf8_percent_encode(&text, &URL_QUERY).to_string();
        Ok(Value::text(encoded.replace("%20", "+")))
    }),
    plain("slice", 1, 3, slice),
];

const URL_QUERY: percent_encoding::AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn first(arguments: &[Value]) -> &Value {
    arguments.first().unwrap_or(&Value::Null)
}

fn last(arguments: &[Value]) -> &Value {
    arguments.last().unwrap_or(&Value::Null)
}

/// `value[key]`. A key that a map does not have gives nothing.
pub(in super::super) fn lookup(value: &Value, key: &Value) -> Outcome {
    match (value, key) {
        (Value::Map(entries), Value::Text(key)) => {
            Ok(entries.get(key.as_str()).cloned().unwrap_or(Value::Null))
        }
        (Value::List(items), Value::Int(number)) => {
            let found = usize::try_from(*number)
                .ok()
                .and_then(|number| items.get(number));
            found.cloned().ok_or(Failure("the list has no such number"))
        }
        (Value::Map(_), _) => Err(Failure("the key of a map is a text")),
        (Value::List(_), _) => Err(Failure("the place in a list is a whole number")),
        (Value::Null, _) => Err(Failure("a key of something that is missing")),
        _ => Err(Failure(
            "a key of something that is neither a map nor a list",
        )),
    }
}

fn len(arguments: &[Value]) -> Outcome {
    let length = match first(arguments) {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        _ => return Err(Failure("neither a text nor a list nor a map")),
    };
    Ok(Value::Int(length as i128))
}

fn is_equal(left: &Value, right: &Value) -> Result<bool, Failure> {
    match (left, right) {
        (Value::Null, other) | (other, Value::Null) => Ok(matches!(other, Value::Null)),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        _ => compare(left, right).map(Ordering::is_eq),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "one of the two is a float already"
)]
fn compare(left: &Value, right: &Value) -> Result<Ordering, Failure> {
    let ordering = match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.as_str().cmp(right.as_str())),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Float(right)) => (*left as f64).partial_cmp(right),
        (Value::Float(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        _ => None,
    };
    ordering.ok_or(Failure(
        "values of different kinds, or of one without order, can't be compared",
    ))
}

fn ordered(arguments: &[Value], is_so: fn(Ordering) -> bool) -> Outcome {
    let ordering = compare(first(arguments), last(arguments))?;
    Ok(Value::Bool(is_so(ordering)))
}

/// As Go's: blanks stand only between two values that are no texts.
fn print(arguments: &[Value]) -> Text {
    let mut out = Text::default();
    let mut after_text = true;
    for value in arguments {
        let is_text = matches!(value, Value::Text(_));
        if !is_text && !after_text {
            out.push(' ');
        }
        value.print(&mut out);
        after_text = is_text;
    }
    out
}

fn printf(arguments: &[Value]) -> Outcome {
    let Some((Value::Text(text), values)) = arguments.split_first() else {
        return Err(Failure("the format is a text"));
    };
    let text = format::format(text, values);
    text.map(Value::Text).map_err(|err| match err {
        format::Error::UnknownVerb => Failure("unknown verb; use %s, %v, %d, %q or %%"),
        format::Error::Count { .. } => Failure("not as many values as verbs"),
        format::Error::NoNumber { .. } => Failure("a value for %d is no whole number"),
    })
}

/// `slice text from to`, both optional.
fn slice(arguments: &[Value]) -> Outcome {
    let bound = |number: usize, default: usize| match arguments.get(number) {
        None => Ok(default),
        Some(Value::Int(bound)) => {
            usize::try_from(*bound).map_err(|_| Failure("a bound is negative"))
        }
        Some(_) => Err(Failure("a bound is no whole number")),
    };
    let outside = Failure("a bound is outside");
    match first(arguments) {
        Value::Text(text) => {
            let range = bound(1, 0)?..bound(2, text.len())?;
            text.get(range).map(Value::text).ok_or(outside)
        }
        Value::List(items) => {
            let range = bound(1, 0)?..bound(2, items.len())?;
            let items = items.get(range).ok_or(outside)?;
            Ok(Value::List(items.to_vec()))
        }
        _ => Err(Failure("neither a text nor a list")),
    }
}
