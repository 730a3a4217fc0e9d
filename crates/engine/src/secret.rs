//! The published Secret: what stands in it, and whose it is.

use std::collections::BTreeMap;

use api::names::{annotation, label, secret_key as key};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    address::{Engine, Scheme, SslMode},
    dsn::{Credential, Dsn, PartialDsn},
    names::{DatabaseName, Login},
    source::SecretData,
    template::Part,
    wishes::{ClaimId, SecretShape},
};

/// The Secret as it was read, reduced to what is decided on.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub resource_version: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub owner_uids: Vec<String>,
    /// Never changes while the Secret lives.
    pub type_: String,
    pub data: SecretData,
}

/// Whose a Secret is, seen from one claim or role claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This claim's, or an earlier claim's of the same name.
    Ours,
    /// Carries the original controller's label and names no claim: ours if the take-over test holds.
    Unclaimed,
    Foreign,
}

impl Stored {
    pub fn owner(&self, claim: &ClaimId) -> Owner {
        if self.labels.get(label::MANAGED_BY).map(String::as_str) != Some(claim.kind.manager()) {
            return Owner::Foreign;
        }
        let named = |key| self.annotations.get(key).map(String::as_str);
        if self.owner_uids.contains(&claim.uid)
            || named(annotation::CLAIM_UID) == Some(&claim.uid)
            || named(annotation::CLAIM_NAME) == Some(&claim.name)
        {
            return Owner::Ours;
        }
        if self.owner_uids.is_empty()
            && named(annotation::CLAIM_UID).is_none()
            && named(annotation::CLAIM_NAME).is_none()
        {
            return Owner::Unclaimed;
        }
        Owner::Foreign
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.data
            .get(key)
            .map(ExposeSecret::expose_secret)
            .filter(|text| !text.is_empty())
    }

    /// Every login with its password that the Secret holds, the one of the URI first: after an
    /// edit by hand the keys may disagree, and any of them may be the one that works.
    pub fn credentials(&self) -> Vec<Credential> {
        let in_dsn = |key| {
            let dsn = PartialDsn::parse(self.text(key)?).ok()?;
            Some((dsn.user?, dsn.password?))
        };
        let own = || {
            let (login, password) = (self.text(key::USERNAME)?, self.text(key::PASSWORD)?);
            Some((login.to_owned(), SecretString::from(password)))
        };
        let mut found: Vec<Credential> = Vec::new();
        let all = [in_dsn(key::URI_DSN), in_dsn(key::DSN), own()];
        for (login, password) in all.into_iter().flatten() {
            let is_known = found.iter().any(|known| {
                known.login.as_str() == login
                    && known.password.expose_secret() == password.expose_secret()
            });
            if let (false, Ok(login)) = (is_known, Login::try_from(login)) {
                found.push(Credential { login, password });
            }
        }
        found
    }

    /// The login that all keys name; `None` where they disagree or name none.
    pub fn login(&self) -> Option<Login> {
        let in_dsn = |key| PartialDsn::parse(self.text(key)?).ok()?.user;
        let own = self.text(key::USERNAME).map(str::to_owned);
        let mut all: Vec<_> = [own, in_dsn(key::URI_DSN), in_dsn(key::DSN)]
            .into_iter()
            .flatten()
            .collect();
        all.dedup();
        let login = all.pop().filter(|_| all.is_empty())?;
        Login::try_from(login).ok()
    }

    /// MongoDB: where the published login is defined.
    pub fn auth_source(&self) -> Option<&str> {
        self.text(key::AUTH_SOURCE)
    }

    pub fn generation(&self) -> i64 {
        self.annotations
            .get(annotation::GENERATION)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }

    pub fn rotated_at(&self) -> Option<Timestamp> {
        self.annotations.get(annotation::ROTATED_AT)?.parse().ok()
    }

    pub fn previous_login(&self) -> Option<&str> {
        self.annotations
            .get(annotation::PREVIOUS_LOGIN)
            .map(String::as_str)
    }

    pub fn handled_nonce(&self) -> Option<&str> {
        self.annotations
            .get(annotation::HANDLED_ROTATE)
            .map(String::as_str)
    }

    /// Whether every key that we publish stands there unchanged; further keys are the users' own.
    pub fn holds(&self, wanted: &SecretData) -> bool {
        wanted
            .iter()
            .all(|(key, value)| self.text(key) == Some(value.expose_secret()))
    }
}

/// What is published for one credential, the `generation`th of its claim.
pub fn data(dsn: &Dsn, shape: &SecretShape, generation: i64) -> SecretData {
    let SecretShape {
        dsn_name,
        engine: provider,
        ..
    } = shape;
    let plain = |text: &str| SecretString::from(text);
    let host = &dsn.address.primary.host;
    let mut data = SecretData::from([
        (key::DSN.to_owned(), dsn.keywords()),
        (key::URI_DSN.to_owned(), dsn.uri()),
        (key::HOSTNAME.to_owned(), plain(host)),
        (key::DATABASE.to_owned(), plain(dsn.database.as_str())),
        (
            key::USERNAME.to_owned(),
            plain(dsn.credential.login.as_str()),
        ),
        (key::PASSWORD.to_owned(), dsn.credential.password.clone()),
        (key::PROVIDER.to_owned(), plain(provider)),
        (key::HOST.to_owned(), plain(host)),
        (key::URI.to_owned(), dsn.uri()),
        (key::GENERATION.to_owned(), generation.to_string().into()),
    ]);
    data.extend(match dsn.address.scheme.engine() {
        Engine::Postgres => of_postgres(dsn),
        Engine::Mongo => of_mongo(dsn, shape),
    });
    if let Some(ca) = &dsn.address.ca {
        data.insert(key::CA.to_owned(), plain(ca));
    }
    if dsn_name != key::DSN && !dsn_name.is_empty() {
        data.insert(dsn_name.clone(), dsn.keywords());
        data.insert(format!("uri_{dsn_name}"), dsn.uri());
    }
    let files = shape.formats.iter().filter_map(|format| format.file(dsn));
    data.extend(files.map(|(key, text)| (key.to_owned(), text)));
    for (key, text) in of_templates(dsn, shape) {
        data.entry(key).or_insert(text);
    }
    data
}

/// The claim's own keys. One without a value, such as that of a set that is none, is left out.
fn of_templates(dsn: &Dsn, shape: &SecretShape) -> SecretData {
    let address = &dsn.address;
    let parameter = |name| address.parameter(name).unwrap_or_default().into();
    let value = |part| match part {
        Part::Username => dsn.credential.login.as_str().into(),
        Part::Password => dsn.credential.password.expose_secret().into(),
        Part::Host => address.primary.host.as_str().into(),
        Part::Port => address
            .port()
            .map(|port| port.to_string())
            .unwrap_or_default()
            .into(),
        Part::Hosts => address.to_string().into(),
        Part::Database => dsn.database.as_str().into(),
        Part::Databases => std::iter::once(dsn.database.as_str())
            .chain(shape.other_databases.iter().map(DatabaseName::as_str))
            .collect::<Vec<_>>()
            .join(",")
            .into(),
        Part::SslMode if address.scheme == Scheme::Postgres => address.ssl_mode.as_str().into(),
        Part::SslMode => "".into(),
        Part::ReplicaSet => parameter(key::REPLICA_SET),
        Part::AuthSource => parameter(key::AUTH_SOURCE),
    };
    let all = shape.templates.iter();
    let all = all.map(|(key, template)| (key.clone(), template.render(value)));
    all.filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key, text.into()))
        .collect()
}

fn of_postgres(dsn: &Dsn) -> SecretData {
    let port = dsn.address.primary.port.to_string();
    SecretData::from([
        (key::TYPE.to_owned(), "postgresql".into()),
        (key::READ_ONLY_URI_DSN.to_owned(), dsn.read_only_uri()),
        (key::PORT.to_owned(), port.into()),
        (
            key::SSL_MODE.to_owned(),
            dsn.address.ssl_mode.to_string().into(),
        ),
        (key::JDBC_URI.to_owned(), dsn.jdbc_uri()),
        (key::PGPASS.to_owned(), dsn.pgpass()),
    ])
}

/// The member list and the options as parts of their own, and the URI under the names that
/// MongoDB's own operator publishes. A name that DNS resolves to members has no port. A claim of
/// several databases gets a URI for each.
fn of_mongo(dsn: &Dsn, shape: &SecretShape) -> SecretData {
    let address = &dsn.address;
    let uses_tls = address.ssl_mode != SslMode::Disable;
    let mut data = SecretData::from([
        (key::TYPE.to_owned(), "mongodb".into()),
        (key::HOSTS.to_owned(), address.to_string().into()),
        (key::TLS.to_owned(), uses_tls.to_string().into()),
    ]);
    for name in [key::REPLICA_SET, key::AUTH_SOURCE] {
        let value = address.parameter(name);
        data.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    if address.scheme == Scheme::MongoSrv {
        data.insert(key::CONNECTION_STRING_SRV.to_owned(), dsn.uri());
    } else {
        data.insert(key::CONNECTION_STRING.to_owned(), dsn.uri());
        let port = address.primary.port.to_string();
        data.insert(key::PORT.to_owned(), port.into());
    }
    if !shape.other_databases.is_empty() {
        let all = dsn.of_databases(&shape.other_databases, shape.is_per_database);
        let all = std::iter::once(dsn.clone()).chain(all);
        data.extend(all.filter_map(|dsn| Some((key::uri_of(dsn.database.as_str())?, dsn.uri()))));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wishes::ClaimKind;

    fn stored(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Stored {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        Stored {
            labels: map(labels),
            annotations: map(annotations),
            ..Stored::default()
        }
    }

    #[test]
    fn row_22_only_our_own_secret_is_ours() {
        let ours = [(label::MANAGED_BY, label::CLAIM_MANAGER)];
        let of = |kind| ClaimId {
            kind,
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
            uid: "uid-1".to_owned(),
        };
        let check = |labels, annotations, want| {
            let claim = of(ClaimKind::Claim);
            assert_eq!(stored(labels, annotations).owner(&claim), want);
        };
        let namesake = stored(&ours, &[(annotation::CLAIM_NAME, "orders")]);
        assert_eq!(namesake.owner(&of(ClaimKind::RoleClaim)), Owner::Foreign);
        check(&[], &[(annotation::CLAIM_UID, "uid-1")], Owner::Foreign);
        check(&ours, &[(annotation::CLAIM_UID, "uid-1")], Owner::Ours);
        check(&ours, &[], Owner::Unclaimed);
        check(&ours, &[(annotation::CLAIM_UID, "uid-2")], Owner::Foreign);
        let reborn = [
            (annotation::CLAIM_UID, "uid-0"),
            (annotation::CLAIM_NAME, "orders"),
        ];
        check(&ours, &reborn, Owner::Ours);
    }

    #[test]
    fn an_edited_secret_offers_each_password_once() {
        let mut secret = stored(&[], &[]);
        for (key, value) in [
            (key::USERNAME, "clerk_a"),
            (key::PASSWORD, "edited"),
            (key::URI_DSN, "postgres://clerk_a:kept@h/d"),
            (key::DSN, "host=h user=clerk_a password=kept dbname=d"),
        ] {
            secret.data.insert(key.to_owned(), value.into());
        }
        let both = secret.credentials();
        let texts: Vec<_> = both
            .iter()
            .map(|found| found.password.expose_secret())
            .collect();
        assert_eq!(texts, ["kept", "edited"]);
        assert_eq!(secret.login().unwrap().as_str(), "clerk_a");
        secret
            .data
            .insert(key::USERNAME.to_owned(), "clerk_b".into());
        assert_eq!(secret.login(), None);
    }

    fn mongo_dsn(text: &str) -> Dsn {
        let request = crate::source::Request {
            dsn: Some(text),
            database_name: "orders",
            ..Default::default()
        };
        let mut dsn = crate::source::admin_dsn(&request, SslMode::Require).unwrap();
        dsn.address = dsn.address.for_logins("dbclaims");
        dsn
    }

    fn shape(dsn_name: &str) -> SecretShape {
        SecretShape {
            dsn_name: dsn_name.to_owned(),
            engine: "mongodb".to_owned(),
            ..SecretShape::default()
        }
    }

    #[test]
    fn a_mongodb_secret_has_the_parts_that_its_clients_look_for() {
        let dsn = mongo_dsn("mongodb://clerk_b:pw@h1,h2:27018/?replicaSet=rs0&tls=false");
        let data = data(&dsn, &shape("my.txt"), 12);
        let text = |key: &str| data.get(key).map(ExposeSecret::expose_secret);
        let uri = "mongodb://clerk_b:pw@h1:27017,h2:27018/orders?authSource=dbclaims\
                   &replicaSet=rs0&tls=false";
        for key in [
            "uri",
            "dsn.txt",
            "uri_dsn.txt",
            "connectionString.standard",
            "my.txt",
        ] {
            assert_eq!(text(key), Some(uri), "{key}");
        }
        for (key, value) in [
            ("type", "mongodb"),
            ("hosts", "h1:27017,h2:27018"),
            ("host", "h1"),
            ("port", "27017"),
            ("replicaSet", "rs0"),
            ("authSource", "dbclaims"),
            ("tls", "false"),
            ("database", "orders"),
            ("generation", "12"),
        ] {
            assert_eq!(text(key), Some(value), "{key}");
        }
        for key in [
            "connectionString.standardSrv",
            "sslmode",
            "pgpass",
            "jdbc-uri",
        ] {
            assert_eq!(text(key), None, "{key}");
        }
        let secret = Stored {
            data,
            ..Stored::default()
        };
        let read: Vec<_> = secret.credentials();
        assert_eq!(read.len(), 1);
        assert_eq!(secret.login().unwrap().as_str(), "clerk_b");
    }

    #[test]
    fn an_srv_name_is_published_without_a_port() {
        let dsn = mongo_dsn("mongodb+srv://clerk_b:pw@cluster.example.com/");
        let data = data(&dsn, &shape(""), 12);
        let text = |key: &str| data.get(key).map(ExposeSecret::expose_secret);
        let uri =
            "mongodb+srv://clerk_b:pw@cluster.example.com/orders?authSource=dbclaims&tls=true";
        assert_eq!(text("connectionString.standardSrv"), Some(uri));
        assert_eq!(text("hosts"), Some("cluster.example.com"));
        assert_eq!(text("port"), None);
    }

    #[test]
    fn a_claim_of_several_databases_has_a_uri_for_each() {
        let mut dsn = mongo_dsn("mongodb://clerk_b:pw@h1/?tls=false");
        let mut shape = shape("");
        assert!(!data(&dsn, &shape, 7).contains_key("uri.orders"));
        shape.other_databases = vec![DatabaseName::try_from("image").unwrap()];
        let mut check = |is_per_database, source: &str| {
            shape.is_per_database = is_per_database;
            dsn.address = dsn.address.for_logins(source);
            let data = data(&dsn, &shape, 7);
            let text = |key: &str| data.get(key).map(|text| text.expose_secret().to_owned());
            assert_eq!(text("uri.orders"), text("uri"));
            text("uri.image").unwrap()
        };
        let uri =
            |source| format!("mongodb://clerk_b:pw@h1:27017/image?authSource={source}&tls=false");
        assert_eq!(check(false, "dbclaims"), uri("dbclaims"));
        assert_eq!(check(true, "orders"), uri("image"));
    }

    #[test]
    fn abcdesktops_keys_come_by_template() {
        let dsn = mongo_dsn("mongodb://clerk_b:pw@h1,h2:27018/?tls=false");
        let mut shape = shape("");
        shape.other_databases = vec![DatabaseName::try_from("fail2ban").unwrap()];
        let texts = [
            (
                "MONGODB_URL",
                "mongodb://{username:encoded}:{password:encoded}@{hosts}",
            ),
            ("MONGO_DBS_LIST", "{databases}"),
            ("MONGO_USERS_LIST", "{username}:readWrite:{password}"),
            ("SET", "{replicaSet}"),
        ];
        let texts = texts.map(|(key, text)| (key.to_owned(), text.to_owned()));
        shape.templates = crate::template::all(&texts.into(), "", &[]).unwrap();
        let data = data(&dsn, &shape, 7);
        let text = |key: &str| data.get(key).map(ExposeSecret::expose_secret);
        assert_eq!(
            text("MONGODB_URL"),
            Some("mongodb://clerk_b:pw@h1:27017,h2:27018")
        );
        assert_eq!(text("MONGO_DBS_LIST"), Some("orders,fail2ban"));
        assert_eq!(text("MONGO_USERS_LIST"), Some("clerk_b:readWrite:pw"));
        assert_eq!(text("SET"), None);
    }
}
