use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::address::{Endpoint, SslMode};

fn dsn(host: &str, password: &str, database: &str, login: &str) -> Dsn {
    Dsn {
        address: Address::new(
            Endpoint {
                host: host.to_owned(),
                port: 5432,
            },
            SslMode::Require,
        ),
        database: DatabaseName::try_from(database).unwrap(),
        credential: Credential {
            login: Login::try_from(login).unwrap(),
            password: password.into(),
        },
    }
}

fn example() -> Dsn {
    let host = "pg1.cluster-abc123.us-east-1.rds.amazonaws.com";
    dsn(host, "t7#Kd^2=Wq:9mZ+x", "mydb", "identity-api_b")
}

#[test]
fn row_21_the_worked_example_has_the_same_bytes() {
    let dsn = example();
    assert_eq!(
        dsn.keywords().expose_secret(),
        "host=pg1.cluster-abc123.us-east-1.rds.amazonaws.com port=5432 user=identity-api_b \
         password=t7#Kd^2=Wq:9mZ+x dbname=mydb sslmode=require"
    );
    assert_eq!(
        dsn.uri().expose_secret(),
        "postgres://identity-api_b:t7%23Kd%5E2%3DWq%3A9mZ%2Bx@pg1.cluster-abc123.us-east-1.rds.\
         amazonaws.com:5432/mydb?sslmode=require"
    );
    assert_eq!(
        dsn.read_only_uri().expose_secret(),
        "postgres://identity-api_b:t7%23Kd%5E2%3DWq%3A9mZ%2Bx@pg1.cluster-ro-abc123.us-east-1.\
         rds.amazonaws.com:5432/mydb?sslmode=require"
    );
}

#[test]
fn row_21_an_ipv6_host_has_brackets_in_uris_only() {
    let dsn = dsn("fd00::7", "pw", "orders", "clerk_a");
    assert_eq!(
        dsn.uri().expose_secret(),
        "postgres://clerk_a:pw@[fd00::7]:5432/orders?sslmode=require"
    );
    assert!(
        dsn.keywords()
            .expose_secret()
            .starts_with("host=fd00::7 port=5432 ")
    );
    assert_eq!(
        dsn.pgpass().expose_secret(),
        "fd00\\:\\:7:5432:orders:clerk_a:pw"
    );
}

#[test]
fn row_6_parameters_that_clients_need_are_kept_and_local_files_are_not() {
    let text = "postgresql://root@h1:5433,h2/orders?target_session_attrs=read-write\
                &sslrootcert=%2Fca.pem&sslmode=verify-full&options=-c%20geqo%3Doff";
    let parsed = PartialDsn::parse(text).unwrap();
    assert_eq!(
        parsed.endpoints,
        [("h1".to_owned(), Some(5433)), ("h2".to_owned(), None)]
    );
    assert_eq!(parsed.ssl_mode, Some(SslMode::VerifyFull));
    assert_eq!(
        parsed.parameters,
        [
            ("target_session_attrs".to_owned(), "read-write".to_owned()),
            ("options".to_owned(), "-c geqo=off".to_owned()),
        ]
    );
}

#[test]
fn row_6_the_form_of_the_original_helm_test_is_read() {
    let parsed = PartialDsn::parse("postgres://myuser:@db.example:5432/mydb?sslmode=disable\n");
    let parsed = parsed.unwrap();
    assert_eq!(parsed.user.as_deref(), Some("myuser"));
    assert!(parsed.password.is_none());
    assert_eq!(parsed.database.as_deref(), Some("mydb"));
}

#[test]
fn what_is_no_dsn_is_refused_without_quoting_it() {
    for text in [
        "",
        " \n",
        "hunter2",
        "mysql://u:hunter2@h/d",
        "mysql://u:hunter2@h/d?a=b",
        "postgres://u:hunter2@[::1/d",
        "host=h password='hunter2",
        "host=h password=two hunter2 dbname=d",
        "host=h password=two hunter2 dbname='d",
        "host=h password=two hunter2='d",
        "postgres://u:hunter2@h:99999/d",
        "postgres://u:hunter2@h/d?sslmode=maybe",
        "postgres://u:hunter2/x@h/d",
        "postgres://u:hunter2?x@h/d",
        "postgres://u:1/hunter2@h/d",
        "host=a,b,c port=1,2 password=hunter2",
    ] {
        let err = PartialDsn::parse(text).unwrap_err();
        assert!(!err.to_string().contains("hunter2"), "{err}");
    }
}

proptest! {
    #[test]
    fn every_password_comes_back_from_both_forms(
        password in "[ -~üß日]{1,40}", database in "[a-zA-Z0-9 '\"\\\\%/?#-]{1,20}",
    ) {
        let dsn = dsn("db.example", &password, &database, "clerk_a");
        for text in [dsn.uri(), dsn.keywords()] {
            let parsed = PartialDsn::parse(text.expose_secret()).unwrap();
            let read = parsed.password.unwrap();
            prop_assert_eq!(read.expose_secret(), &password);
            prop_assert_eq!(parsed.database.unwrap(), database.clone());
            prop_assert_eq!(parsed.user.unwrap(), "clerk_a");
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = PartialDsn::parse(&text);
        let _ = PartialDsn::parse(&format!("postgres://{text}"));
    }
}

#[test]
fn more_hosts_than_a_server_has_are_refused_in_either_form() {
    let hosts = |count: usize| {
        let all: Vec<_> = (0..count).map(|number| format!("h{number}")).collect();
        all.join(",")
    };
    for few in [
        format!("postgres://u:p@{}/d", hosts(16)),
        format!("host={}", hosts(16)),
    ] {
        assert_eq!(PartialDsn::parse(&few).unwrap().endpoints.len(), 16);
    }
    for many in [
        format!("postgres://u:p@{}/d", hosts(17)),
        format!("postgres:///d?host={}", hosts(17)),
        format!("host={}", hosts(17)),
    ] {
        let err = PartialDsn::parse(&many).unwrap_err();
        assert!(err.to_string().contains("17 hosts; at most 16"), "{err}");
    }
}
