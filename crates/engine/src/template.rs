//! Keys of a claim's own in the published Secret: a text with the parts of the credential in it,
//! such as `mongodb://{username:encoded}:{password:encoded}@mongodb`. Parts only: no conditions, no
//! functions, and no value is ever in an error, so that a template can't be a program or a leak.

use std::{borrow::Cow, collections::BTreeMap};

use api::names::secret_key;

use crate::{dsn::encoded, format::Format};

/// As long as any connection string that a driver takes.
const LONGEST: usize = 4096;
/// What the API server takes as the key of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Username,
    Password,
    Host,
    Port,
    Hosts,
    Database,
    /// All of the claim's databases, with a comma between them.
    Databases,
    SslMode,
    ReplicaSet,
    AuthSource,
}

const PARTS: [(&str, Part); 10] = [
    ("username", Part::Username),
    ("password", Part::Password),
    ("host", Part::Host),
    ("port", Part::Port),
    ("hosts", Part::Hosts),
    ("database", Part::Database),
    ("databases", Part::Databases),
    ("sslmode", Part::SslMode),
    ("replicaSet", Part::ReplicaSet),
    ("authSource", Part::AuthSource),
];

/// After a part's name: percent-encoded but for the unreserved characters of RFC 3986.
const ENCODED: &str = ":encoded";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part { part: Part, is_encoded: bool },
}

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("is empty")]
    Empty,
    #[error("is longer than {LONGEST} bytes")]
    Length,
    #[error("has a brace without its partner; a brace itself is written twice: {{{{ or }}}}")]
    Brace,
    #[error(
        "has a part that there is not; there are {}, each also with {ENCODED}",
        PARTS.map(|(name, _)| name).join(", ")
    )]
    Part,
    #[error("has a name that the controller publishes itself; choose another")]
    Reserved,
    #[error("is no key of a Secret: letters, digits, '-', '_' and '.', at most 253")]
    Key,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.len() {
            0 => return Err(Error::Empty),
            1..=LONGEST => {}
            _ => return Err(Error::Length),
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from_brace.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = from_brace.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let inside = from_brace.strip_prefix('{').ok_or(Error::Brace)?;
                let (name, after) = inside.split_once('}').ok_or(Error::Brace)?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(part(name)?);
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The text, with what `value` says for each part.
    pub(crate) fn render<'a>(&self, value: impl Fn(Part) -> Cow<'a, str>) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => Cow::Borrowed(text.as_str()),
            Piece::Part { part, is_encoded } if *is_encoded => encoded(&value(*part)).into(),
            Piece::Part { part, .. } => value(*part),
        });
        pieces.collect()
    }
}

fn part(name: &str) -> Result<Piece, Error> {
    let (name, is_encoded) = name
        .strip_suffix(ENCODED)
        .map_or((name, false), |name| (name, true));
    let known = PARTS.iter().find(|(known, _)| *known == name);
    let (_, part) = known.ok_or(Error::Part)?;
    Ok(Piece::Part {
        part: *part,
        is_encoded,
    })
}

/// Checks all templates of a claim; an error comes with its key.
pub(crate) fn all(
    texts: &BTreeMap<String, String>,
    dsn_name: &str,
    formats: &[Format],
) -> Result<BTreeMap<String, Template>, (String, Error)> {
    let checked = texts.iter().map(|(key, text)| {
        let template = check_key(key, dsn_name, formats).and_then(|()| Template::parse(text));
        template
            .map(|template| (key.clone(), template))
            .map_err(|error| (key.clone(), error))
    });
    checked.collect()
}

fn check_key(key: &str, dsn_name: &str, formats: &[Format]) -> Result<(), Error> {
    if !secret_key::is_fit(key) {
        return Err(Error::Key);
    }
    let is_of_dsn_name = key == dsn_name || key.strip_prefix("uri_") == Some(dsn_name);
    let is_ours = secret_key::ALL.contains(&key) || key.starts_with(secret_key::URI_OF);
    let is_of_format = formats.iter().any(|format| format.key() == Some(key));
    if is_ours || is_of_dsn_name || is_of_format {
        return Err(Error::Reserved);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(text: &str) -> String {
        let template = Template::parse(text).unwrap();
        template.render(|part| match part {
            Part::Username => "pyos_a".into(),
            Part::Password => ":/?#[]@ %+ü".into(),
            other => format!("<{other:?}>").into(),
        })
    }

    #[test]
    fn parts_stand_plain_or_encoded() {
        assert_eq!(
            rendered("mongodb://{username:encoded}:{password:encoded}@mongodb"),
            "mongodb://pyos_a:%3A%2F%3F%23%5B%5D%40%20%25%2B%C3%BC@mongodb"
        );
        assert_eq!(
            rendered("{username}:readWrite:{password}"),
            "pyos_a:readWrite::/?#[]@ %+ü"
        );
        assert_eq!(rendered("{{\"u\":\"{username}\"}}"), "{\"u\":\"pyos_a\"}");
        for (name, part) in PARTS {
            if !matches!(part, Part::Username | Part::Password) {
                assert_eq!(rendered(&format!("{{{name}}}")), format!("<{part:?}>"));
            }
        }
    }

    #[test]
    fn a_bad_template_is_refused_without_quoting_it() {
        let long = "x".repeat(LONGEST + 1);
        for (text, error) in [
            ("", Error::Empty),
            (long.as_str(), Error::Length),
            ("{username", Error::Brace),
            ("username}", Error::Brace),
            ("{user}", Error::Part),
            ("{}", Error::Part),
            ("{username:upper}", Error::Part),
            ("{ username }", Error::Part),
        ] {
            assert_eq!(Template::parse(text).unwrap_err(), error, "{text:.20}");
        }
    }

    #[test]
    fn keys_that_are_published_anyway_are_reserved() {
        let error = |key: &str| {
            let texts = BTreeMap::from([(key.to_owned(), "{username}".to_owned())]);
            all(&texts, "my.txt", &[Format::Django]).err()
        };
        for key in secret_key::ALL.into_iter().chain([
            "my.txt",
            "uri_my.txt",
            "uri.profiles",
            secret_key::DJANGO,
        ]) {
            assert_eq!(error(key), Some((key.to_owned(), Error::Reserved)));
        }
        for key in ["", "a b", "a/b", ".", "..", "ü"] {
            assert_eq!(error(key), Some((key.to_owned(), Error::Key)));
        }
        for key in ["MONGODB_URL", secret_key::NODE] {
            assert_eq!(error(key), None);
        }
    }

    proptest! {
        #[test]
        fn text_without_parts_comes_out_as_it_went_in(text in "[ -~ü]{1,60}") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(rendered(&doubled), text);
        }

        #[test]
        fn an_encoded_password_ends_nothing_in_a_uri(password in "[ -~üß日]{1,40}") {
            let template = Template::parse("mongodb://u:{password:encoded}@h/d").unwrap();
            let uri = template.render(|_| password.as_str().into());
            let read = crate::dsn::PartialDsn::parse(&uri).unwrap();
            let back = read.password.unwrap();
            prop_assert_eq!(secrecy::ExposeSecret::expose_secret(&back), password.as_str());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = Template::parse(&text);
        }
    }
}
