//! What is written reads back: each file by a reader of its kind, with names and passwords of any
//! characters, every mode of TLS, and several hosts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::{
    address::{Address, Endpoint, Scheme, SslMode},
    dsn::{Credential, PartialDsn},
    names::{DatabaseName, Login},
};

fn dsn(scheme: Scheme, mode: SslMode, database: &str, password: &str) -> Dsn {
    let endpoint = |host: &str, port| Endpoint {
        host: host.to_owned(),
        port,
    };
    let mut address = Address::new(endpoint("h1", 5433), mode).with_scheme(scheme);
    if scheme != Scheme::MongoSrv {
        address.others = vec![endpoint("fd00::7", 5434)];
    }
    Dsn {
        address,
        database: DatabaseName::try_from(database).unwrap(),
        credential: Credential {
            login: Login::try_from("clerk $\\'\"_a").unwrap(),
            password: password.into(),
        },
    }
}

fn text(format: Format, dsn: &Dsn) -> String {
    let (key, text) = format.file(dsn).unwrap();
    assert_eq!(Some(key), format.key());
    assert!(secret_key::is_fit(key), "{key}");
    text.expose_secret().to_owned()
}

fn json_of(format: Format, dsn: &Dsn) -> Value {
    serde_json::from_str(&text(format, dsn)).unwrap()
}

/// As `java.util.Properties.load` reads what is written here: no comments, no lines that go on.
fn properties(text: &str) -> BTreeMap<String, String> {
    assert!(text.is_ascii(), "it is read as ISO 8859-1");
    let lines = text.lines().map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), unescaped(value))
    });
    lines.collect()
}

fn unescaped(value: &str) -> String {
    let mut units = Vec::new();
    let mut rest = value.trim_start_matches([' ', '\t', '\u{c}']).chars();
    while let Some(c) = rest.next() {
        units.push(match c {
            '\\' => match rest.next().unwrap() {
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    u16::from_str_radix(&digits, 16).unwrap()
                }
                c @ ('t' | 'n' | 'r' | 'f') => panic!("\\{c} is a control character"),
                c => u16::try_from(u32::from(c)).unwrap(),
            },
            c => u16::try_from(u32::from(c)).unwrap(),
        });
    }
    String::from_utf16(&units).unwrap()
}

/// Where the placeholder ends that begins at `start`.
fn end_of(text: &str, start: usize) -> Option<usize> {
    let mut open = 0;
    let inside = text[start + 2..].char_indices();
    for (at, c) in inside {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(start + 2 + at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// As `PropertyPlaceholderHelper` of Spring before 6.2 does it, with a resolver that knows nothing.
fn resolved_of_old(text: &str) -> String {
    let (mut text, mut from) = (text.to_owned(), 0);
    while let Some(start) = text[from..].find("${").map(|at| from + at) {
        let Some(end) = end_of(&text, start) else {
            break;
        };
        let inside = resolved_of_old(&text[start + 2..end]);
        from = match inside.split_once(':') {
            Some((_, default)) => {
                let default = resolved_of_old(default);
                text.replace_range(start..=end, &default);
                start + default.len()
            }
            None => end + 1,
        };
    }
    text
}

/// As `PlaceholderParser` of Spring since 6.2 does it, which knows an escape.
fn resolved(text: &str) -> String {
    let (mut resolved, mut from) = (String::new(), 0);
    while let Some(start) = text[from..].find("${").map(|at| from + at) {
        let plain = &text[from..start];
        match end_of(text, start) {
            None => {
                resolved.extend([plain, "${"]);
                from = start + 2;
            }
            Some(_) if text[..start].ends_with('\\') => {
                resolved.extend([&plain[..plain.len() - 1], "${"]);
                from = start + 2;
            }
            Some(end) => {
                let inside = &text[start + 2..end];
                let default = inside.split_once(':').map(|(_, default)| default);
                resolved.push_str(plain);
                resolved.push_str(default.unwrap_or(&text[start..=end]));
                from = end + 1;
            }
        }
    }
    resolved + &text[from..]
}

/// The variables, if each line is one that every reader reads alike.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(|line| {
        let (name, value) = line.split_once("='").unwrap();
        let value = value.strip_suffix('\'').unwrap();
        let is_plain = |c: char| c.is_ascii_graphic() && !"'\"\\$`#".contains(c);
        assert!(value.chars().all(is_plain), "{value}");
        (name.to_owned(), value.to_owned())
    });
    lines.collect()
}

const MODES: [SslMode; 6] = [
    SslMode::Disable,
    SslMode::Allow,
    SslMode::Prefer,
    SslMode::Require,
    SslMode::VerifyCa,
    SslMode::VerifyFull,
];

#[test]
fn the_files_of_postgresql_look_as_documented() {
    let mut dsn = dsn(Scheme::Postgres, SslMode::VerifyFull, "orders", "p'w");
    dsn.address.ca = Some("PEM".to_owned());
    let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    dsn.address.parameters = vec![
        parameter("target_session_attrs", "read-write"),
        parameter("application_name", "till"),
    ];
    dsn.credential.login = Login::try_from("clerk_a").unwrap();
    let query = "sslmode=verify-full&target_session_attrs=read-write&application_name=till";
    assert_eq!(
        text(Format::Dotenv, &dsn),
        format!("DATABASE_URL='postgres://clerk_a:p%27w@h1:5433,[fd00::7]:5434/orders?{query}'\n")
    );
    assert_eq!(
        text(Format::Spring, &dsn),
        format!(
            "spring.datasource.url=jdbc:postgresql://h1:5433,[fd00::7]:5434/orders?{query}\n\
             spring.datasource.username=clerk_a\nspring.datasource.password=p'w\n"
        )
    );
    assert_eq!(
        json_of(Format::Django, &dsn),
        json!({
            "ENGINE": "django.db.backends.postgresql", "NAME": "orders",
            "USER": "clerk_a", "PASSWORD": "p'w", "HOST": "h1,fd00::7", "PORT": "5433,5434",
            "OPTIONS": {
                "sslmode": "verify-full", "target_session_attrs": "read-write",
                "application_name": "till",
            },
        })
    );
    assert_eq!(
        json_of(Format::Node, &dsn),
        json!({
            "host": "h1", "port": 5433, "database": "orders",
            "user": "clerk_a", "password": "p'w", "application_name": "till",
            "ssl": { "rejectUnauthorized": true, "ca": "PEM" },
        })
    );
}

#[test]
fn the_files_of_mongodb_hold_the_uri() {
    for scheme in [Scheme::Mongo, Scheme::MongoSrv] {
        let mut dsn = dsn(scheme, SslMode::VerifyFull, "orders", "p'w");
        dsn.address.ca = Some("PEM".to_owned());
        let uri = dsn.uri().expose_secret().to_owned();
        let variables = variables(&text(Format::Dotenv, &dsn));
        assert_eq!(variables["DATABASE_URL"], uri);
        assert_eq!(variables["MONGODB_URI"], uri);
        let properties = properties(&text(Format::Spring, &dsn));
        assert_eq!(properties["spring.data.mongodb.uri"], uri);
        assert_eq!(properties["spring.mongodb.uri"], uri);
        let settings = json_of(Format::Django, &dsn);
        let wanted = json!({
            "ENGINE": "django_mongodb_backend", "NAME": "orders", "HOST": uri,
        });
        assert_eq!(settings, wanted);
        let wanted = json!({ "uri": uri, "options": { "ca": "PEM" } });
        assert_eq!(json_of(Format::Node, &dsn), wanted);
        dsn.address.ssl_mode = SslMode::Disable;
        assert_eq!(json_of(Format::Node, &dsn)["options"], json!({}));
    }
}

#[test]
fn node_verifies_what_the_mode_verifies() {
    for mode in MODES {
        let mut dsn = dsn(Scheme::Postgres, mode, "orders", "pw");
        dsn.address.ca = Some("PEM".to_owned());
        let ssl = &json_of(Format::Node, &dsn)["ssl"];
        let wanted = match mode {
            SslMode::Disable | SslMode::Allow => json!(false),
            SslMode::Prefer | SslMode::Require => json!({ "rejectUnauthorized": false }),
            _ => json!({ "rejectUnauthorized": true, "ca": "PEM" }),
        };
        assert_eq!(*ssl, wanted, "{mode}");
    }
}

#[test]
fn spring_finds_no_placeholder_in_a_password() {
    for password in [
        "a${b:c}",
        "\\${b:c}",
        "$${b}",
        "${",
        "\\\\${b:${c:d}}",
        "${:$}",
    ] {
        let literal = spring::literal(password);
        assert_eq!(resolved_of_old(&literal), password, "{literal}");
        assert_eq!(resolved(&literal), password, "{literal}");
    }
}

proptest! {
    #[test]
    fn what_is_written_for_postgresql_reads_back(
        database in "[ -~üß日😀]{1,12}",
        password in "[ -~üß日😀]{1,40}|[$\\\\{}:a]{1,20}",
        mode in prop::sample::select(MODES.to_vec()),
    ) {
        let dsn = dsn(Scheme::Postgres, mode, &database, &password);
        let login = dsn.credential.login.as_str();

        let variables = variables(&text(Format::Dotenv, &dsn));
        let read = PartialDsn::parse(&variables["DATABASE_URL"]).unwrap();
        prop_assert_eq!(read.database.as_ref(), Some(&database));
        prop_assert_eq!(read.user.as_deref(), Some(login));
        prop_assert_eq!(read.ssl_mode, Some(mode));
        let back = read.password.unwrap();
        prop_assert_eq!(back.expose_secret(), password.as_str());

        let properties = properties(&text(Format::Spring, &dsn));
        for resolve in [resolved_of_old, resolved] {
            let property = |name: &str| resolve(&properties[&format!("spring.datasource.{name}")]);
            prop_assert_eq!(property("username"), login);
            prop_assert_eq!(property("password"), password.as_str());
            let url = property("url");
            let read = PartialDsn::parse(url.strip_prefix("jdbc:").unwrap()).unwrap();
            prop_assert_eq!(read.database.as_ref(), Some(&database));
            prop_assert_eq!(read.endpoints.len(), 2);
            prop_assert_eq!(read.ssl_mode, Some(mode));
            prop_assert!(read.user.is_none() && read.password.is_none());
        }

        let settings = json_of(Format::Django, &dsn);
        prop_assert_eq!(&settings["NAME"], &database);
        prop_assert_eq!(&settings["USER"], login);
        prop_assert_eq!(&settings["PASSWORD"], &password);
        prop_assert_eq!(&settings["OPTIONS"]["sslmode"], mode.as_str());

        let config = json_of(Format::Node, &dsn);
        prop_assert_eq!(&config["database"], &database);
        prop_assert_eq!(&config["user"], login);
        prop_assert_eq!(&config["password"], &password);
    }

    #[test]
    fn what_is_written_for_mongodb_reads_back(
        password in "[ -~üß日😀]{1,40}",
        is_srv in any::<bool>(),
    ) {
        let scheme = if is_srv { Scheme::MongoSrv } else { Scheme::Mongo };
        let dsn = dsn(scheme, SslMode::VerifyFull, "orders", &password);
        let properties = properties(&text(Format::Spring, &dsn));
        let settings = json_of(Format::Django, &dsn);
        let config = json_of(Format::Node, &dsn);
        for uri in [
            resolved_of_old(&properties["spring.data.mongodb.uri"]),
            resolved(&properties["spring.mongodb.uri"]),
            settings["HOST"].as_str().unwrap().to_owned(),
            config["uri"].as_str().unwrap().to_owned(),
            variables(&text(Format::Dotenv, &dsn))["MONGODB_URI"].clone(),
        ] {
            let read = PartialDsn::parse(&uri).unwrap();
            let back = read.password.unwrap();
            prop_assert_eq!(back.expose_secret(), password.as_str());
            prop_assert_eq!(read.user.as_deref(), Some(dsn.credential.login.as_str()));
        }
    }
}
