use api::{
    claim::{Database, DatabaseClaimSpec, DatabaseClaimStatus, SecretRef, SourceDataFrom, Status},
    server::{AdminSecretRef, AllowedNamespaces, DatabaseServerSpec},
};

use super::*;

fn claim(spec: DatabaseClaimSpec) -> DatabaseClaim {
    let mut claim = DatabaseClaim::new("orders", spec);
    claim.metadata.namespace = Some("shop".to_owned());
    claim
}

fn source(dsn: &str, secret: Option<(&str, Option<&str>)>) -> DatabaseClaimSpec {
    let secret_ref = secret.map(|(name, namespace)| SecretRef {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    });
    let database = Some(Database {
        dsn: Some(dsn.to_owned()),
        secret_ref,
    });
    let type_ = "database".to_owned();
    DatabaseClaimSpec {
        source_data_from: Some(SourceDataFrom { type_, database }),
        ..DatabaseClaimSpec::default()
    }
}

fn server(name: &str, admits: &str) -> DatabaseServer {
    let spec = DatabaseServerSpec {
        engine: "postgres".to_owned(),
        host: format!("{name}.example"),
        admin_secret_ref: AdminSecretRef {
            name: "admin".to_owned(),
            username_key: "username".to_owned(),
            password_key: "password".to_owned(),
            ..AdminSecretRef::default()
        },
        allowed_namespaces: Some(AllowedNamespaces {
            names: vec![admits.to_owned()],
            ..AllowedNamespaces::default()
        }),
        ..DatabaseServerSpec::default()
    };
    DatabaseServer::new(name, spec)
}

fn choose_among(claim: &DatabaseClaim, servers: &[DatabaseServer]) -> Result<Choice, Error> {
    let servers: Vec<_> = servers.iter().collect();
    let known = Known {
        config: &Config::default(),
        servers: &servers,
        namespace_labels: &BTreeMap::new(),
        own_namespace: "db-controller",
    };
    choose(claim, &known)
}

#[test]
fn row_8_a_named_source_is_adopted_even_when_a_new_database_is_asked_for() {
    let adopted = claim(source("postgres://root@h/orders", Some(("admin", None))));
    let choice = choose_among(&adopted, &[]).unwrap();
    assert_eq!((choice.mode, choice.needs_migration), (Mode::Adopt, true));
    let mut running = adopted.clone();
    let active = Status {
        db_state: Some("ready".to_owned()),
        ..Status::default()
    };
    running.status = Some(DatabaseClaimStatus {
        active_db: Some(active),
        ..DatabaseClaimStatus::default()
    });
    let choice = choose_among(&running, &[server("pg1", "shop")]).unwrap();
    assert_eq!((choice.mode, choice.ignores_source), (Mode::Create, true));
}

#[test]
fn row_7_a_secret_of_another_namespace_is_refused() {
    let claim = claim(source(
        "postgres://root@h/orders",
        Some(("admin", Some("kube-system"))),
    ));
    let err = choose_among(&claim, &[]).unwrap_err();
    assert_eq!(err.class(), ErrorClass::Forbidden);
    assert!(err.to_string().contains("kube-system"));
}

#[test]
fn an_admins_secret_is_read_from_listed_namespaces_only() {
    let mut foreign = server("pg1", "shop");
    foreign.spec.admin_secret_ref.namespace = Some("kube-system".to_owned());
    let mut config = Config::default();
    let of_object = |config: &Config| {
        let known = Known {
            config,
            servers: &[],
            namespace_labels: &BTreeMap::new(),
            own_namespace: "db-controller",
        };
        super::of_object(&foreign, &known)
    };
    let err = of_object(&config).unwrap_err();
    assert_eq!(err.class(), ErrorClass::Forbidden);
    assert!(err.to_string().contains("adminSecretNamespaces"), "{err}");
    config.admin_secret_namespaces = vec!["kube-system".to_owned()];
    assert!(of_object(&config).is_ok());
}

#[test]
fn the_only_server_that_admits_the_namespace_is_used() {
    let plain = claim(DatabaseClaimSpec::default());
    let servers = [server("pg1", "shop"), server("pg2", "billing")];
    match choose_among(&plain, &servers).unwrap().place {
        Place::Server(server) => assert_eq!(server.name, "pg1"),
        Place::Source { .. } => panic!("not a source"),
    }
    assert_eq!(
        choose_among(&plain, &[]),
        Err(Error::NoServer("shop".to_owned()))
    );
    let both = [server("pg1", "shop"), server("pg3", "shop")];
    assert_eq!(
        choose_among(&plain, &both),
        Err(Error::SeveralServers("pg1, pg3".to_owned()))
    );
    let spec = DatabaseClaimSpec {
        server: Some("pg2".to_owned()),
        ..Default::default()
    };
    let err = choose_among(&claim(spec), &servers).unwrap_err();
    assert_eq!(err.class(), ErrorClass::Forbidden);
}

#[test]
fn a_claim_gets_a_server_of_its_engine() {
    let mut mongo = server("mg1", "shop");
    mongo.spec.engine = "mongodb".to_owned();
    mongo.spec.mongodb = Some(MongoServer {
        replica_set: Some("rs0".to_owned()),
        members: vec!["mg2.example".to_owned(), "[fd00::7]:27019".to_owned()],
        auth_source: None,
    });
    let wish = |type_: &str, server: Option<&str>| {
        claim(DatabaseClaimSpec {
            type_: Some(type_.to_owned()),
            server: server.map(str::to_owned),
            ..Default::default()
        })
    };
    let servers = [server("pg1", "shop"), mongo];
    let chosen = |claim| match choose_among(&claim, &servers).unwrap().place {
        Place::Server(server) => *server,
        Place::Source { .. } => panic!("not a source"),
    };
    assert_eq!(
        chosen(wish("", None)).address.to_string(),
        "pg1.example:5432"
    );
    let found = chosen(wish("mongodb", None));
    assert_eq!(
        found.address.to_string(),
        "mg1.example:27017,mg2.example:27017,[fd00::7]:27019"
    );
    assert_eq!(found.address.parameter("replicaSet"), Some("rs0"));
    assert_eq!(found.address.parameter("authSource"), Some("admin"));
    let err = choose_among(&wish("postgres", Some("mg1")), &servers).unwrap_err();
    assert_eq!(err.class(), ErrorClass::InvalidSpec);
    let err = choose_among(&wish("oracle", None), &servers).unwrap_err();
    assert_eq!(err, Error::Engine("oracle".to_owned()));
}

#[test]
fn row_4_what_a_stored_object_may_say_wrong_is_named() {
    let mut missing = source("", None);
    missing.source_data_from.as_mut().unwrap().database = None;
    assert_eq!(choose_among(&claim(missing), &[]), Err(Error::NoSource));
    let mut bucket = source("", None);
    bucket.source_data_from.as_mut().unwrap().type_ = "s3".to_owned();
    assert_eq!(
        choose_among(&claim(bucket), &[]),
        Err(Error::SourceType("s3".to_owned()))
    );
    let spec = DatabaseClaimSpec {
        use_existing_source: Some(true),
        ..Default::default()
    };
    assert_eq!(
        choose_among(&claim(spec), &[]),
        Err(Error::NoSourceForExisting)
    );
}
