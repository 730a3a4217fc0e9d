//! Base64 as sprig has it (RFC 4648, section 4, with padding), and JSON.

use crate::value::{Text, Value};

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn to_base64(bytes: &[u8]) -> Text {
    let mut out = Text::default();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, place| {
            bits << 8 | group.get(place).map_or(0, |byte| usize::from(*byte))
        });
        for place in 0..4 {
            let letter = LETTERS
                .get(bits >> (18 - 6 * place) & 63)
                .map(|letter| char::from(*letter));
            out.push(letter.filter(|_| place <= group.len()).unwrap_or('='));
        }
    }
    out
}

/// None if `text` is no base64, or the base64 of something that is no text.
pub(super) fn from_base64(text: &str) -> Option<String> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_usize, 0);
    for digit in digits.bytes() {
        let value = LETTERS.iter().position(|letter| *letter == digit)?;
        bits = bits << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).ok()?);
        }
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(is_true) => (*is_true).into(),
        Value::Int(number) => match i64::try_from(*number) {
            Ok(number) => number.into(),
            Err(_) => u64::try_from(*number).map_or(serde_json::Value::Null, Into::into),
        },
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| (key.clone(), to_json(value)));
            serde_json::Value::Object(entries.collect())
        }
    }
}
