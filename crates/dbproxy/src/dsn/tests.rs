use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn upstream() -> Upstream {
    Upstream {
        host: "pg1.internal".to_owned(),
        port: 6543,
        database: "mydb".to_owned(),
        login: "identity-api_b".to_owned(),
        password: Some("t7#Kd^2=Wq:9mZ+x".into()),
        ssl_mode: SslMode::Require,
    }
}

fn check(text: &str, want: &Result<Upstream, Error>) {
    assert_eq!(&Upstream::parse(&text.into()), want, "{text}");
}

#[test]
fn both_forms_of_the_secret_say_the_same() {
    check(
        "postgres://identity-api_b:t7%23Kd%5E2%3DWq%3A9mZ%2Bx@pg1.internal:6543/mydb?sslmode=require\n",
        &Ok(upstream()),
    );
    check(
        "host=pg1.internal port=6543 user=identity-api_b password=t7#Kd^2=Wq:9mZ+x dbname=mydb sslmode=require",
        &Ok(upstream()),
    );
}

#[test]
fn row_67_what_is_missing_gets_the_defaults_of_libpq() {
    let upstream = Upstream {
        host: "::1".to_owned(),
        port: 5432,
        database: "clerk".to_owned(),
        login: "clerk".to_owned(),
        password: None,
        ssl_mode: SslMode::Prefer,
    };
    check("postgresql://clerk@[::1]", &Ok(upstream.clone()));
    check("user = clerk host = '::1'", &Ok(upstream));
}

#[test]
fn row_67_what_pgbouncer_can_not_do_is_refused() {
    check(
        "postgres://c:p@h:32768/d",
        &Ok(Upstream {
            host: "h".to_owned(),
            port: 32768,
            database: "d".to_owned(),
            login: "c".to_owned(),
            password: Some("p".into()),
            ssl_mode: SslMode::Prefer,
        }),
    );
    for (text, want) in [
        ("", Error::UnknownForm),
        ("t7", Error::UnknownForm),
        ("mysql://c:p@h/d", Error::UnknownForm),
        (
            "postgres://c:p%zz%ff@h/d",
            Error::Encoding { part: "password" },
        ),
        ("postgres://c:p/w@h/d", Error::Reserved),
        ("postgres://c:p@[::1/d", Error::Unfinished),
        ("host=h user='c", Error::Unfinished),
        ("postgres://c:p@/d", Error::Missing { part: "host" }),
        ("host=h", Error::Missing { part: "user" }),
        ("postgres://c:p@h1,h2/d", Error::SeveralHosts),
        ("host=h1,h2 user=c", Error::SeveralHosts),
        ("postgres://c:p@h:0/d", Error::Port),
        ("postgres://c:p@h:65536/d", Error::Port),
        ("postgres://c:p@h:-1/d", Error::Port),
        ("postgres://c:p@h/d?sslmode=maybe", Error::SslMode),
        (
            "postgres://c:p%0a%5bpgbouncer%5d@h/d",
            Error::Control { part: "password" },
        ),
        ("host=h user=c\\\nd", Error::Control { part: "user" }),
    ] {
        check(text, &Err(want));
    }
}

proptest! {
    #[test]
    fn any_text_survives_both_forms(
        login in "[^\\p{Cc}]{1,20}",
        password in "[^\\p{Cc}]{1,40}",
        database in "[^\\p{Cc}]{1,20}",
        port in 1_u16..,
    ) {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let uri = format!(
            "postgres://{}:{}@h:{port}/{}?sslmode=verify-full",
            encoded(&login), encoded(&password), encoded(&database),
        );
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
        let keywords = format!(
            "host=h port={port} user='{}' password='{}' dbname='{}' sslmode=verify-full",
            quoted(&login), quoted(&password), quoted(&database),
        );
        let want = Upstream {
            host: "h".to_owned(),
            port,
            database,
            login,
            password: Some(password.into()),
            ssl_mode: SslMode::VerifyFull,
        };
        prop_assert_eq!(Upstream::parse(&uri.into()).unwrap(), want.clone());
        prop_assert_eq!(Upstream::parse(&keywords.into()).unwrap(), want);
    }

    #[test]
    fn no_text_makes_it_panic_or_be_quoted(text in "\\PC{0,60}") {
        if let Err(err) = Upstream::parse(&format!("postgres://canary:{text}").into()) {
            prop_assert!(!err.to_string().contains("canary"));
        }
    }
}
