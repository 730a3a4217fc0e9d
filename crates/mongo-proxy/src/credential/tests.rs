use super::*;

fn parsed(uri: &str) -> Result<Credential, Malformed> {
    Credential::parse(&SecretString::from(uri))
}

#[test]
fn a_connection_string_is_read_in_all_its_parts() {
    let uri = "mongodb://clerk_a:p%40ss%3A@One:1,two/orders?replicaSet=rs0&authSource=dbclaims&tls=true\n";
    let credential = parsed(uri).unwrap();
    assert_eq!(credential.login, "clerk_a");
    assert_eq!(credential.password.expose_secret(), "p@ss:");
    assert_eq!(credential.auth_source, "dbclaims");
    let hosts = ["one:1", "two:27017"].map(str::to_owned);
    assert_eq!(credential.place, Place::Hosts(hosts.into()));
    assert_eq!(credential.trust, Some(Trust::Host));
    assert_eq!(
        parsed("mongodb://u:p@h/orders").unwrap().auth_source,
        "orders"
    );
    assert_eq!(parsed("mongodb://u:p@h").unwrap().auth_source, "admin");
}

#[test]
fn whom_to_trust_is_said_as_drivers_say_it() {
    let trust = |options: &str| {
        parsed(&format!("mongodb://u:p@h/?{options}"))
            .unwrap()
            .trust
    };
    assert_eq!(trust(""), None);
    assert_eq!(trust("tls=false&tlsAllowInvalidCertificates=true"), None);
    assert_eq!(trust("ssl=true"), Some(Trust::Host));
    assert_eq!(
        trust("tls=true&tlsAllowInvalidHostnames=true"),
        Some(Trust::Authority)
    );
    for any in ["tlsInsecure=true", "tlsallowinvalidcertificates=true"] {
        assert_eq!(trust(&format!("tls=true&{any}")), Some(Trust::Anybody));
    }
}

#[test]
fn a_name_stands_for_hosts_that_are_encrypted_unless_it_says_otherwise() {
    let named = |options: &str| parsed(&format!("mongodb+srv://u:p@Set.example.com/?{options}"));
    let credential = named("").unwrap();
    let name = "set.example.com".to_owned();
    assert_eq!(credential.place, Place::Name(name));
    assert_eq!(credential.trust, Some(Trust::Host));
    assert_eq!(named("tls=false").unwrap().trust, None);
}

#[test]
fn garbage_is_refused() {
    let refused = |uri: &str| parsed(uri).err().unwrap();
    assert_eq!(refused(""), Malformed::Scheme);
    assert_eq!(refused("postgres://u:p@h"), Malformed::Scheme);
    for hosts in ["h:1", "h1,h2", ""] {
        let uri = format!("mongodb+srv://u:p@{hosts}/");
        assert_eq!(refused(&uri), Malformed::Srv);
    }
    assert_eq!(refused("mongodb://h"), Malformed::Login);
    assert_eq!(refused("mongodb://u:@h"), Malformed::Login);
    assert_eq!(refused("mongodb://u:p@"), Malformed::Hosts);
    assert_eq!(refused("mongodb://u:%ff@h"), Malformed::Encoding);
}

#[test]
fn a_new_password_is_the_same_generation_and_a_known_login_comes_back_as_itself() {
    let generations = Generations::default();
    let install = |login: &str, password: &str| {
        let uri = format!("mongodb://{login}:{password}@h");
        generations.install(&parsed(&uri).unwrap());
        generations.newest().unwrap()
    };
    let first = install("a", "1");
    let again = install("a", "2");
    assert_eq!(first.number, again.number);
    let (current, previous, _) = again.passwords();
    assert_eq!(current.expose_secret(), "2");
    assert_eq!(previous.unwrap().expose_secret(), "1");

    let second = install("b", "3");
    assert_ne!(second.number, first.number);
    assert!(generations.kept(first.number).is_some());
    assert_eq!(install("a", "4").number, first.number);
    install("c", "5");
    assert!(generations.kept(second.number).is_none());
}
