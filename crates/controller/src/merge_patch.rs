//! The smallest JSON merge patch (RFC 7386) between two objects.

use serde_json::{Map, Value};

/// What must be merged into `before` to give `after`; `None` where nothing differs.
pub fn between(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return Some(after.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        let change = match old.get(key) {
            Some(old) => between(old, value),
            None => Some(value.clone()),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_travels_and_what_went_is_null() {
        let before = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [1] });
        let after = json!({ "b": { "c": 2, "d": 4 }, "e": [1, 2], "f": 5 });
        let patch = json!({ "a": null, "b": { "d": 4 }, "e": [1, 2], "f": 5 });
        assert_eq!(between(&before, &after), Some(patch));
        assert_eq!(between(&after, &after), None);
    }
}
