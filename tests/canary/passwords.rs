//! Passwords that are looked for, in every form in which a careless line could show them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use testkit::names;

use super::places::Place;

/// Symbols that each form writes in its own way.
const SYMBOLS: &str = r#" "q" \ % @:/ ' & $1"#;

/// A password that must not be seen.
pub(super) struct Canary {
    what: String,
    /// What to look for, and what it is.
    forms: BTreeMap<String, &'static str>,
}

impl Canary {
    /// A password that was made elsewhere.
    pub(super) fn of(what: &str, password: &str) -> Self {
        Self {
            what: what.to_owned(),
            forms: forms(password),
        }
    }

    /// A new password that each form writes differently, and its letters, which stay the same in
    /// most and would tell of a part that got out.
    pub(super) fn planted(what: &str) -> (Self, String) {
        let core = names::random(16);
        let password = format!("{core}{SYMBOLS}");
        let mut canary = Self::of(what, &password);
        for form in forms(&core).into_keys() {
            canary.forms.entry(form).or_insert("a part");
        }
        (canary, password)
    }
}

/// Every place that shows one of the canaries, and how.
pub(super) fn leaks(places: &[Place], canaries: &[Canary]) -> Vec<String> {
    let mut found = Vec::new();
    for Place { name, text } in places {
        for Canary { what, forms } in canaries {
            let seen = forms.iter().find(|(form, _)| text.contains(*form));
            found.extend(seen.map(|(form, kind)| {
                let line = text.lines().find(|line| line.contains(form));
                format!("{name}: {what} as {kind}: {}", line.unwrap_or_default())
            }));
        }
    }
    found
}

fn forms(password: &str) -> BTreeMap<String, &'static str> {
    let json = json(password);
    let mut all = vec![
        (json.clone(), "JSON"),
        (self::json(&json), "JSON within JSON"),
        (
            format!("{password:?}").trim_matches('"').to_owned(),
            "Debug",
        ),
        (
            escaped(password, |c| c.is_whitespace() || "\\'".contains(c)),
            "keyword value",
        ),
        (password.replace('\'', "''"), "SQL"),
        (percent(password), "percent-encoded"),
        (percent(password).to_lowercase(), "percent-encoded"),
        (percent(password).replace("%20", "+"), "form-encoded"),
        (password.to_owned(), "plain"),
    ];
    for shift in 0..3 {
        let form = base64(password, shift);
        all.push((form.replace('+', "-").replace('/', "_"), "base64url"));
        all.push((form, "base64"));
    }
    // Of equal forms the plainest stands last and gives the name.
    all.into_iter().collect()
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

fn escaped(text: &str, needs: impl Fn(char) -> bool) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        escaped.extend(needs(c).then_some('\\'));
        escaped.push(c);
    }
    escaped
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encoded = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// What stands in any base64 text of which `text` is a part, behind `shift` further bytes: only the
/// characters that do not depend on what is before or behind it.
fn base64(text: &str, shift: usize) -> String {
    let mut bytes = vec![0; shift];
    bytes.extend(text.bytes());
    let whole = bytes.len() * 8 / 6;
    let encoded = serde_json::to_value(ByteString(bytes)).unwrap_or_default();
    let encoded = encoded.as_str().unwrap_or_default();
    encoded
        .chars()
        .take(whole)
        .skip((shift * 8).div_ceil(6))
        .collect()
}

#[test]
fn every_form_is_found_inside_other_text() {
    let (canary, password) = Canary::planted("a password");
    let canaries = [canary];
    let found = |text: &str| {
        let name = "here".to_owned();
        let text = text.to_owned();
        leaks(&[Place { name, text }], &canaries).len()
    };
    assert_eq!(found("nothing of the kind"), 0);
    for before in ["", "a", "ab", "abc"] {
        let bytes = format!("{before}{password}and more").into_bytes();
        let encoded = serde_json::to_string(&ByteString(bytes)).expect("base64");
        assert_eq!(found(&encoded), 1, "base64 behind {before:?}");
    }
    let message = serde_json::json!({ "message": format!("no such thing: {password}.") });
    for text in [
        format!("password={password} x"),
        format!("postgres://boss:{}@host/x", percent(&password)),
        message.to_string(),
        serde_json::json!({ "line": message.to_string() }).to_string(),
        format!("Login {{ password: {password:?} }}"),
    ] {
        assert_eq!(found(&text), 1, "{text}");
    }
}
