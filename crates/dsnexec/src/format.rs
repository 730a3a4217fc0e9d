//! Go's formatting verbs, as far as values of ours need them: `%s`, `%v`, `%d`, `%q` and `%%`.
//! Width, precision and all other verbs are refused, and so are too few and too many values.

use crate::value::{Text, Value};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the format has an unknown verb; use %s, %v, %d, %q or %%")]
    UnknownVerb,
    #[error("the format has {verbs} verbs for {values} values")]
    Count { verbs: usize, values: usize },
    #[error("value {number} of the format is no whole number, as %d needs one")]
    NoNumber { number: usize },
}

pub fn format(format: &str, values: &[Value]) -> Result<Text, Error> {
    let mut out = Text::default();
    let mut used = 0;
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let verb = chars.next().ok_or(Error::UnknownVerb)?;
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = values.get(used);
        used += 1;
        // Counted to the end, so that the error has both figures.
        let value = value.unwrap_or(&Value::Null);
        match verb {
            's' | 'v' => value.print(&mut out),
            'q' => quote(&value.printed(), &mut out),
            'd' if used > values.len() => {}
            'd' => match whole_number(value) {
                Some(number) => out.push_str(&number.to_string()),
                None => return Err(Error::NoNumber { number: used }),
            },
            _ => return Err(Error::UnknownVerb),
        }
    }
    if used != values.len() {
        return Err(Error::Count {
            verbs: used,
            values: values.len(),
        });
    }
    Ok(out)
}

/// The number in a value, or in a text of digits.
fn whole_number(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// A Go string literal.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                let code = u32::from(c);
                out.extend(['\\', 'x', digit(code / 16), digit(code % 16)]);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_those_of_go() {
        let values = [
            Value::text("a\"b"),
            Value::Int(5432),
            Value::text("6432"),
            Value::text("c"),
        ];
        let text = format("%q at %d, %d %% %s", &values).unwrap();
        assert_eq!(text.as_str(), "\"a\\\"b\" at 5432, 6432 % c");
    }

    #[test]
    fn what_go_would_print_as_a_complaint_is_an_error() {
        let check = |text, values: &[Value], want| {
            assert_eq!(format(text, values).map(drop), Err(want), "{text}");
        };
        let count = |verbs, values| Error::Count { verbs, values };
        check("%s %d", &[Value::Int(1)], count(2, 1));
        check("plain", &[Value::Int(1)], count(0, 1));
        check("%5s", &[Value::Int(1)], Error::UnknownVerb);
        check("100%", &[], Error::UnknownVerb);
        check("%d", &[Value::text("x")], Error::NoNumber { number: 1 });
    }
}
