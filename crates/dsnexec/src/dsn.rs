//! Reads a DSN, as URI or in keyword form (libpq's manual, section 34.1.1), as the map of its
//! options. It does not say which options are needed, and an error never quotes the text.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::value::Text;

/// Options by libpq's keywords; those that the DSN leaves out or empty are missing.
pub type Options = BTreeMap<String, Text>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not a DSN: neither a postgres:// URI nor a list of keyword=value")]
    UnknownForm,
    #[error("not a DSN: a part is no valid percent-encoded text")]
    Encoding,
    #[error("not a DSN: a raw / or ? or @ in login or password; percent-encode them")]
    Reserved,
    #[error("not a DSN: a quote or bracket has no end")]
    Unfinished,
}

pub fn parse(text: &str) -> Result<Options, Error> {
    let text = text.trim();
    let uri = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let mut options = match uri {
        Some(rest) => from_uri(rest)?,
        None => from_keywords(text)?,
    };
    options.retain(|_, value| !value.is_empty());
    Ok(options)
}

/// `user:password@host:port/dbname?keyword=value&…`
fn from_uri(rest: &str) -> Result<Options, Error> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    if database.contains('@') || query.contains('@') {
        return Err(Error::Reserved);
    }
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = match place.strip_prefix('[') {
        Some(place) => place.split_once(']').ok_or(Error::Unfinished)?,
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let mut options = Options::new();
    let fixed = [
        ("user", user),
        ("password", password),
        ("host", host),
        ("port", port),
        ("dbname", database),
    ];
    for (keyword, value) in fixed {
        options.insert(keyword.to_owned(), decoded(value)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) = pair.split_once('=').ok_or(Error::UnknownForm)?;
        options.insert(decoded(keyword)?.to_string(), decoded(value)?);
    }
    Ok(options)
}

fn decoded(text: &str) -> Result<Text, Error> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(|text| Text::new(text.into_owned()))
        .map_err(|_| Error::Encoding)
}

/// `keyword = value …`: a value stands plain or in single quotes, a backslash before any character.
fn from_keywords(text: &str) -> Result<Options, Error> {
    let mut options = Options::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (keyword, tail) = rest.split_once('=').ok_or(Error::UnknownForm)?;
        let keyword = keyword.trim_end();
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if keyword.is_empty() || !keyword.chars().all(is_letter) {
            return Err(Error::UnknownForm);
        }
        let tail = tail.trim_start();
        let (is_quoted, tail) = match tail.strip_prefix('\'') {
            Some(tail) => (true, tail),
            None => (false, tail),
        };
        let mut value = Text::default();
        let mut chars = tail.chars();
        loop {
            match chars.next() {
                Some('\\') => value.extend(chars.next()),
                Some('\'') if is_quoted => break,
                Some(c) if !is_quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if is_quoted => return Err(Error::Unfinished),
                None => break,
            }
        }
        options.insert(keyword.to_owned(), value);
        rest = chars.as_str().trim_start();
    }
    if options.is_empty() {
        return Err(Error::UnknownForm);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<&str, Error>) {
        let got = parse(text).map(|options| {
            let pairs = options.iter();
            let pairs = pairs.map(|(keyword, value)| format!("{keyword}={}", value.as_str()));
            pairs.collect::<Vec<_>>().join("|")
        });
        assert_eq!(got, want.map(str::to_owned), "{text}");
    }

    #[test]
    fn both_forms_give_the_same_options() {
        let want = "dbname=my db|host=pg.example|password=p@'ss|port=5433|sslmode=require|user=u";
        check(
            "postgresql://u:p%40'ss@pg.example:5433/my%20db?sslmode=require\n",
            Ok(want),
        );
        check(
            r"host=pg.example port = 5433 user=u password='p@\'ss' dbname=my\ db sslmode=require",
            Ok(want),
        );
        check("postgres://u@[::1]/", Ok("host=::1|user=u"));
    }

    #[test]
    fn what_is_no_dsn_is_refused() {
        check("", Err(Error::UnknownForm));
        check("hunter2", Err(Error::UnknownForm));
        check("mysql://u:p@h/d", Err(Error::UnknownForm));
        check("postgres://u:a/b@h/d", Err(Error::Reserved));
        check("postgres://u:%ff@h/d", Err(Error::Encoding));
        check("postgres://[::1", Err(Error::Unfinished));
        check("password='x", Err(Error::Unfinished));
    }
}
