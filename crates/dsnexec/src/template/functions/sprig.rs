//! Functions of sprig, with its order of arguments: the one that is piped comes last.

use std::collections::BTreeMap;

use super::encode::{from_base64, to_base64, to_json};
use super::{Failure, Function, Outcome, plain};
use crate::format;
use crate::value::{Text, Value};

const ANY: usize = usize::MAX;

pub(super) static FUNCTIONS: [Function; 39] = [
    plain("default", 1, 2, |a| Ok(chosen(a, last(a).is_true()))),
    plain("empty", 1, 1, |a| Ok(Value::Bool(!last(a).is_true()))),
    plain("coalesce", 1, ANY, |a| {
        Ok(a.iter()
            .find(|value| value.is_true())
            .cloned()
            .unwrap_or(Value::Null))
    }),
    plain("ternary", 3, 3, |a| {
        Ok(argument(a, usize::from(!last(a).is_true())).clone())
    }),
    plain("fail", 1, 1, |_| Err(Failure("the template says so"))),
    plain("upper", 1, 1, |a| mapped(a, str::to_uppercase)),
    plain("lower", 1, 1, |a| mapped(a, str::to_lowercase)),
    plain("trim", 1, 1, |a| mapped(a, |text| text.trim().to_owned())),
    plain("trimAll", 2, 2, |a| {
        with(a, |set, text| {
            Value::text(text.trim_matches(|c| set.contains(c)))
        })
    }),
    plain("trimPrefix", 2, 2, |a| {
        with(a, |prefix, text| {
            Value::text(text.strip_prefix(prefix).unwrap_or(text))
        })
    }),
    plain("trimSuffix", 2, 2, |a| {
        with(a, |suffix, text| {
            Value::text(text.strip_suffix(suffix).unwrap_or(text))
        })
    }),
    plain("contains", 2, 2, |a| {
        with(a, |part, text| Value::Bool(text.contains(part)))
    }),
    plain("hasPrefix", 2, 2, |a| {
        with(a, |part, text| Value::Bool(text.starts_with(part)))
    }),
    plain("hasSuffix", 2, 2, |a| {
        with(a, |part, text| Value::Bool(text.ends_with(part)))
    }),
    plain("replace", 3, 3, |a| {
        let (from, to) = (text_of(argument(a, 0))?, text_of(argument(a, 1))?);
        mapped(a, |text| text.replace(from, to))
    }),
    plain("repeat", 2, 2, |a| {
        let count = usize::try_from(whole(argument(a, 0))?).unwrap_or(0);
        mapped(a, |text| text.repeat(count.min(1024)))
    }),
    plain("trunc", 2, 2, |a| {
        let count = whole(argument(a, 0))?;
        let length = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        mapped(a, |text| {
            let all = text.chars().count();
            let skipped = if count < 0 {
                all.saturating_sub(length)
            } else {
                0
            };
            text.chars().skip(skipped).take(length).collect()
        })
    }),
    plain("nospace", 1, 1, |a| {
        mapped(a, |text| {
            text.chars().filter(|c| !c.is_whitespace()).collect()
        })
    }),
    plain("quote", 1, ANY, |a| {
        Ok(joined(a, |value, out| format::quote(&value.printed(), out)))
    }),
    plain("squote", 1, ANY, |a| {
        Ok(joined(a, |value, out| {
            out.push('\'');
            value.print(out);
            out.push('\'');
        }))
    }),
    plain("cat", 1, ANY, |a| Ok(joined(a, Value::print))),
    plain("join", 2, 2, |a| {
        let separator = text_of(argument(a, 0))?;
        let items: Vec<_> = list(last(a))?.iter().map(Value::printed).collect();
        let items: Vec<&str> = items.iter().map(|item| item.as_str()).collect();
        Ok(Value::text(items.join(separator)))
    }),
    plain("splitList", 2, 2, |a| {
        with(a, |separator, text| {
            Value::List(text.split(separator).map(Value::text).collect())
        })
    }),
    plain("toString", 1, 1, |a| Ok(Value::Text(last(a).printed()))),
    plain("int", 1, 1, |a| whole(last(a)).map(Value::Int)),
    plain("int64", 1, 1, |a| whole(last(a)).map(Value::Int)),
    plain("atoi", 1, 1, |a| whole(last(a)).map(Value::Int)),
    plain("add", 1, ANY, |a| {
        let sum = a
            .iter()
            .try_fold(0_i128, |sum, value| Ok(sum.saturating_add(whole(value)?)));
        sum.map(Value::Int)
    }),
    plain("b64enc", 1, 1, |a| {
        Ok(Value::Text(to_base64(text_of(last(a))?.as_bytes())))
    }),
    plain("b64dec", 1, 1, |a| {
        let text = from_base64(text_of(last(a))?);
        text.map(Value::text).ok_or(Failure("no base64 of a text"))
    }),
    plain("toJson", 1, 1, |a| {
        Ok(Value::text(to_json(last(a)).to_string()))
    }),
    plain("fromJson", 1, 1, |a| {
        let value = serde_json::from_str::<serde_json::Value>(text_of(last(a))?);
        value.map(Value::from).map_err(|_| Failure("no JSON"))
    }),
    plain("list", 0, ANY, |a| Ok(Value::List(a.to_vec()))),
    plain("first", 1, 1, |a| {
        Ok(list(last(a))?.first().cloned().unwrap_or(Value::Null))
    }),
    plain("last", 1, 1, |a| {
        Ok(list(last(a))?.last().cloned().unwrap_or(Value::Null))
    }),
    plain("dict", 0, ANY, dict),
    plain("get", 2, 2, |a| {
        let found = map(argument(a, 0))?.get(text_of(last(a))?);
        Ok(found.cloned().unwrap_or_else(|| Value::text("")))
    }),
    plain("hasKey", 2, 2, |a| {
        Ok(Value::Bool(
            map(argument(a, 0))?.contains_key(text_of(last(a))?),
        ))
    }),
    plain("keys", 1, 1, |a| {
        let keys = map(last(a))?.keys();
        Ok(Value::List(
            keys.map(|key| Value::text(key.as_str())).collect(),
        ))
    }),
];

fn argument(arguments: &[Value], number: usize) -> &Value {
    arguments.get(number).unwrap_or(&Value::Null)
}

fn last(arguments: &[Value]) -> &Value {
    arguments.last().unwrap_or(&Value::Null)
}

/// The last argument of two, if it counts; otherwise the first.
fn chosen(arguments: &[Value], is_given: bool) -> Value {
    let is_given = is_given && arguments.len() > 1;
    argument(arguments, usize::from(is_given)).clone()
}

fn text_of(value: &Value) -> Result<&str, Failure> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null => Ok(""),
        _ => Err(Failure("a value is no text; toString makes one")),
    }
}

fn whole(value: &Value) -> Result<i128, Failure> {
    let failure = Failure("a value is no whole number");
    match value {
        Value::Int(number) => Ok(*number),
        Value::Text(text) => text.trim().parse().map_err(|_| failure),
        Value::Null => Ok(0),
        _ => Err(failure),
    }
}

fn list(value: &Value) -> Result<&[Value], Failure> {
    match value {
        Value::List(items) => Ok(items),
        _ => Err(Failure("a value is no list")),
    }
}

fn map(value: &Value) -> Result<&BTreeMap<String, Value>, Failure> {
    match value {
        Value::Map(entries) => Ok(entries),
        _ => Err(Failure("a value is no map")),
    }
}

fn mapped(arguments: &[Value], change: impl Fn(&str) -> String) -> Outcome {
    text_of(last(arguments)).map(|text| Value::text(change(text)))
}

/// For functions of two texts.
fn with(arguments: &[Value], apply: impl Fn(&str, &str) -> Value) -> Outcome {
    Ok(apply(
        text_of(argument(arguments, 0))?,
        text_of(last(arguments))?,
    ))
}

/// All that are there, with blanks between them.
fn joined(arguments: &[Value], print: impl Fn(&Value, &mut String)) -> Value {
    let mut out = Text::default();
    let given = arguments
        .iter()
        .filter(|value| !matches!(value, Value::Null));
    for (number, value) in given.enumerate() {
        if number > 0 {
            out.push(' ');
        }
        print(value, &mut out);
    }
    Value::Text(out)
}

fn dict(arguments: &[Value]) -> Outcome {
    let pairs = arguments.chunks(2);
    let pairs = pairs.map(|pair| {
        let key = text_of(argument(pair, 0))?.to_owned();
        let value = pair.get(1).cloned();
        Ok((key, value.unwrap_or_else(|| Value::text(""))))
    });
    Ok(Value::Map(pairs.collect::<Result<_, Failure>>()?))
}
