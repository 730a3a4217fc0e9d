use proptest::prelude::*;

use super::*;

fn upstream() -> Upstream {
    Upstream {
        host: "pg1.internal".to_owned(),
        port: 5432,
        database: "mydb".to_owned(),
        login: "identity-api_b".to_owned(),
        password: Some("t7#Kd^2=Wq:9mZ+x".into()),
        ssl_mode: SslMode::Require,
    }
}

fn rendered(upstream: &Upstream, settings: &Settings) -> String {
    ini(upstream, settings).unwrap().expose_secret().to_owned()
}

const WORKED_EXAMPLE: &str = "\
[databases]
* = host='pg1.internal' port='5432' dbname='mydb' user='identity-api_b' password='t7#Kd^2=Wq:9mZ+x'

[pgbouncer]
listen_addr = 127.0.0.1,::1
listen_port = 5432
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 116
ignore_startup_parameters = extra_float_digits
client_tls_sslmode = prefer
client_tls_key_file = tls.key
client_tls_cert_file = tls.crt
server_tls_sslmode = require
server_reset_query = DISCARD ALL
server_login_retry = 0.2
log_connections = 0
log_disconnections = 0
log_stats = 0
";

#[test]
fn row_63_the_worked_example_of_compatibility() {
    let settings = Settings {
        client_tls: Some(Tls {
            key: "tls.key".into(),
            certificate: "tls.crt".into(),
        }),
        ..Settings::default()
    };
    assert_eq!(rendered(&upstream(), &settings), WORKED_EXAMPLE);
}

#[test]
fn row_62_only_loopback_addresses_are_listened_on() {
    let pod: IpAddr = "10.1.2.3".parse().unwrap();
    assert_eq!(Listen::try_from(vec![pod]), Err(NotLoopback(pod)));
    let any: IpAddr = "0.0.0.0".parse().unwrap();
    assert_eq!(Listen::try_from(vec![any]), Err(NotLoopback(any)));
    let loopback: IpAddr = "127.0.0.2".parse().unwrap();
    assert_eq!(Listen::try_from(vec![loopback]), Ok(Listen(vec![loopback])));
}

#[test]
fn verifying_the_server_needs_a_ca() {
    let upstream = Upstream {
        ssl_mode: SslMode::VerifyFull,
        ..upstream()
    };
    let without = ini(&upstream, &Settings::default()).map(drop);
    assert_eq!(without, Err(Error::NoCa(SslMode::VerifyFull)));
    let settings = Settings {
        server_ca: Some("/etc/ca.crt".into()),
        ..Settings::default()
    };
    let text = rendered(&upstream, &settings);
    assert!(text.contains("server_tls_sslmode = verify-full\nserver_tls_ca_file = /etc/ca.crt\n"));
}

#[test]
fn a_line_end_writes_no_settings() {
    let upstream = Upstream {
        password: Some("x'\nauth_type = trust".into()),
        ..upstream()
    };
    let refused = ini(&upstream, &Settings::default()).map(drop);
    assert_eq!(refused, Err(Error::Control { part: "password" }));
}

/// As `cstr_get_pair` in PgBouncer's `loader.c` reads a connection string.
fn read_pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once('=').unwrap();
        let mut tail = tail.strip_prefix('\'').unwrap();
        let mut value = String::new();
        loop {
            let (text, after) = tail.split_once('\'').unwrap();
            value.push_str(text);
            if let Some(after) = after.strip_prefix('\'') {
                value.push('\'');
                tail = after;
            } else {
                rest = after.trim_start();
                break;
            }
        }
        pairs.push((key.to_owned(), value));
    }
    pairs
}

proptest! {
    #[test]
    fn any_value_is_read_as_it_was_meant(
        login in "[^\\p{Cc}]{1,20}",
        password in "[^\\p{Cc}]{1,40}",
        database in "[^\\p{Cc}]{1,20}",
    ) {
        let upstream = Upstream {
            login: login.clone(),
            password: Some(password.clone().into()),
            database: database.clone(),
            ..upstream()
        };
        let text = rendered(&upstream, &Settings::default());
        let line = text.split('\n').nth(1).unwrap().strip_prefix("* =").unwrap();
        let want = [
            ("host", "pg1.internal"),
            ("port", "5432"),
            ("dbname", &database),
            ("user", &login),
            ("password", &password),
        ];
        let want = want.map(|(key, value)| (key.to_owned(), value.to_owned()));
        prop_assert_eq!(read_pairs(line), want.to_vec());
        prop_assert_eq!(text.split('\n').count(), 20, "one line, whatever its values");
    }
}
