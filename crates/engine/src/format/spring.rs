//! `application.properties` of Spring Boot: a file of Java (`java.util.Properties.load`), read as
//! ISO 8859-1, in whose values Spring looks for `${…}`.

use secrecy::ExposeSecret;

use crate::{address::Engine, dsn::Dsn};

pub(super) fn file(dsn: &Dsn) -> String {
    let uri = dsn.uri();
    let url = dsn.jdbc_url();
    let properties: &[(&str, &str)] = match dsn.address.scheme.engine() {
        Engine::Postgres => &[
            ("spring.datasource.url", &url),
            ("spring.datasource.username", dsn.credential.login.as_str()),
            (
                "spring.datasource.password",
                dsn.credential.password.expose_secret(),
            ),
        ],
        // The first name is that of Spring Boot up to 3, the second that of 4.
        Engine::Mongo => &[
            ("spring.data.mongodb.uri", uri.expose_secret()),
            ("spring.mongodb.uri", uri.expose_secret()),
        ],
    };
    let lines = properties.iter();
    let lines = lines.map(|(name, value)| format!("{name}={}\n", escaped(&literal(value))));
    lines.collect()
}

/// The text for Spring to take as it is. Before version 6.2 Spring has no escape for `${`, and since
/// then the backslash is one; a placeholder without a name, which has a default, works in both.
pub(super) fn literal(text: &str) -> String {
    if !text.contains("${") {
        return text.to_owned();
    }
    let mut literal = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '$' => literal.push_str("${:$}"),
            '\\' => literal.push_str("${:\\}"),
            c => literal.push(c),
        }
    }
    literal
}

/// A value of a properties file: white space at its start and the backslash are escaped, and all
/// that is not ASCII is in UTF-16.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            ' ' if escaped.is_empty() => escaped.push_str("\\ "),
            '\\' => escaped.push_str("\\\\"),
            ' '..='~' => escaped.push(c),
            c => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units).iter();
                escaped.extend(units.map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    escaped
}
