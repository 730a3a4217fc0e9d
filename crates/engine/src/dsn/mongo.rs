//! MongoDB's connection strings (manual, "Connection Strings"; specification "URI options"): the
//! options that mean something to us, and the one form in which all of it is written.
//! What TLS asks of a certificate is kept as the mode that PostgreSQL has for the same thing.

use api::names::secret_key;
use secrecy::{ExposeSecret, SecretString};

use super::{Dsn, Error, PartialDsn, render::encoded};
use crate::{
    address::{Address, Scheme, SslMode},
    names::DatabaseName,
};

/// Where a login is defined.
pub const AUTH_SOURCE: &str = secret_key::AUTH_SOURCE;
/// The name of a replica set.
pub const REPLICA_SET: &str = secret_key::REPLICA_SET;

/// The database in which the logins of claims are defined: never `admin`, where root lives.
pub const LOGINS_DATABASE: &str = "dbclaims";

const TLS: &str = "tls";
const ANY_CERTIFICATE: &str = "tlsAllowInvalidCertificates";
const ANY_HOST_NAME: &str = "tlsAllowInvalidHostnames";

/// Options that name a file of the reader's own file system, or hold a secret: never passed on.
const LOCAL: [&str; 4] = [
    "tlscafile",
    "tlscertificatekeyfile",
    "tlscertificatekeyfilepassword",
    "authmechanismproperties",
];

/// Takes the options of a URI; their names mean the same in any case of letters.
pub(super) fn set_all(dsn: &mut PartialDsn, pairs: Vec<(String, String)>) -> Result<(), Error> {
    let (mut uses_tls, mut any_certificate, mut any_host_name) = (None, false, false);
    for (option, value) in pairs {
        match option.to_ascii_lowercase().as_str() {
            "tls" | "ssl" => uses_tls = Some(boolean(TLS, &value)?),
            "tlsinsecure" => any_certificate |= boolean("tlsInsecure", &value)?,
            "tlsallowinvalidcertificates" => any_certificate |= boolean(ANY_CERTIFICATE, &value)?,
            "tlsallowinvalidhostnames" => any_host_name |= boolean(ANY_HOST_NAME, &value)?,
            "authsource" => dsn.parameters.push((AUTH_SOURCE.to_owned(), value)),
            "replicaset" => dsn.parameters.push((REPLICA_SET.to_owned(), value)),
            local if LOCAL.contains(&local) => {}
            _ if option.is_empty() || !option.chars().all(|c| c.is_ascii_alphanumeric()) => {
                return Err(Error::Keyword);
            }
            _ => dsn.parameters.push((option, value)),
        }
    }
    dsn.ssl_mode = uses_tls.map(
        |uses_tls| match (uses_tls, any_certificate, any_host_name) {
            (false, ..) => SslMode::Disable,
            (true, true, _) => SslMode::Require,
            (true, false, true) => SslMode::VerifyCa,
            (true, false, false) => SslMode::VerifyFull,
        },
    );
    Ok(())
}

fn boolean(option: &'static str, value: &str) -> Result<bool, Error> {
    value.parse().map_err(|_| Error::Boolean { option })
}

/// Adds what the form implies: TLS and one host for `mongodb+srv`, else the place where the login
/// is defined, which is the database of the path unless that is said.
pub(super) fn completed(dsn: PartialDsn, scheme: Scheme) -> Result<PartialDsn, Error> {
    let mut dsn = dsn;
    if scheme == Scheme::MongoSrv {
        if !matches!(dsn.endpoints.as_slice(), [(_, None)]) {
            return Err(Error::SrvHost);
        }
        dsn.ssl_mode.get_or_insert(SslMode::VerifyFull);
    } else if dsn.user.is_some() && dsn.parameters.iter().all(|(name, _)| name != AUTH_SOURCE) {
        let source = dsn.database.clone().unwrap_or_else(|| "admin".to_owned());
        dsn.parameters.push((AUTH_SOURCE.to_owned(), source));
    }
    Ok(dsn)
}

/// `mongodb://login:password@hosts/database?options`.
pub(super) fn uri(dsn: &Dsn) -> SecretString {
    let Dsn {
        address,
        database,
        credential,
    } = dsn;
    format!(
        "{}{}:{}@{}/{}?{}",
        start(address.scheme),
        encoded(credential.login.as_str()),
        encoded(credential.password.expose_secret()),
        address,
        encoded(database.as_str()),
        options(address),
    )
    .into()
}

pub(super) fn start(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::MongoSrv => "mongodb+srv://",
        Scheme::Mongo | Scheme::Postgres => "mongodb://",
    }
}

/// All options, TLS last and always: drivers differ in what they assume.
fn options(address: &Address) -> String {
    let mut text = String::new();
    for (name, value) in &address.parameters {
        text.extend([name.as_str(), "=", &encoded(value), "&"]);
    }
    let tls: &[&str] = match address.ssl_mode {
        SslMode::Disable => &["tls=false"],
        // TLS of MongoDB is there or not: what may do without it gets what need not be verified.
        SslMode::Allow | SslMode::Prefer | SslMode::Require => {
            &["tls=true", "tlsAllowInvalidCertificates=true"]
        }
        SslMode::VerifyCa => &["tls=true", "tlsAllowInvalidHostnames=true"],
        SslMode::VerifyFull => &["tls=true"],
    };
    text + &tls.join("&")
}

impl Address {
    /// The address as the logins of claims use it: the same members, but they are defined in
    /// `database`, and how the admin proves itself is the admin's business.
    pub fn for_logins(&self, database: &str) -> Self {
        if self.scheme == Scheme::Postgres {
            return self.clone();
        }
        let is_admins = |name: &str| [AUTH_SOURCE, "authMechanism"].contains(&name);
        let source = (AUTH_SOURCE.to_owned(), database.to_owned());
        let kept = self.parameters.iter();
        let kept = kept.filter(|(name, _)| !is_admins(name)).cloned();
        Self {
            parameters: std::iter::once(source).chain(kept).collect(),
            ..self.clone()
        }
    }
}

impl Dsn {
    /// The same for further databases of the claim, which may be where they log in.
    pub fn of_databases(&self, others: &[DatabaseName], is_per_database: bool) -> Vec<Self> {
        let of = |database: &DatabaseName| {
            let mut dsn = self.clone();
            if is_per_database {
                dsn.address = self.address.for_logins(database.as_str());
            }
            dsn.database = database.clone();
            dsn
        };
        others.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{address::Endpoint, dsn::Credential, names::Login};

    fn parse(text: &str) -> PartialDsn {
        PartialDsn::parse(text).unwrap()
    }

    #[test]
    fn the_set_the_source_and_the_members_are_read() {
        let dsn = parse(
            "mongodb://root:p%40ss@h1:27018,h2,[fd00::7]:27019/orders?replicaset=rs0&SSL=true\
             &tlsCAFile=%2Fca.pem&w=majority",
        );
        assert_eq!(dsn.scheme, Some(Scheme::Mongo));
        let endpoints: Vec<_> = dsn
            .endpoints_of(Scheme::Mongo)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(endpoints, ["h1:27018", "h2:27017", "[fd00::7]:27019"]);
        assert_eq!(dsn.ssl_mode, Some(SslMode::VerifyFull));
        let pairs: Vec<_> = dsn
            .parameters
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("replicaSet", "rs0"),
                ("w", "majority"),
                ("authSource", "orders")
            ]
        );
    }

    #[test]
    fn a_login_is_of_admin_where_nothing_says_otherwise() {
        let dsn = parse("mongodb://root:pw@h/?tls=false");
        assert_eq!(
            dsn.parameters,
            [(AUTH_SOURCE.to_owned(), "admin".to_owned())]
        );
        assert_eq!(dsn.database, None);
        assert_eq!(dsn.ssl_mode, Some(SslMode::Disable));
        assert_eq!(parse("mongodb://h/orders").parameters, []);
    }

    #[test]
    fn an_srv_name_implies_tls_and_takes_no_port() {
        let dsn = parse("mongodb+srv://root:pw@cluster.example.com/orders");
        assert_eq!(dsn.ssl_mode, Some(SslMode::VerifyFull));
        for text in [
            "mongodb+srv://root:hunter2@h:27017/",
            "mongodb+srv://root:hunter2@h1,h2/",
            "mongodb+srv://root:hunter2@/",
        ] {
            assert_eq!(PartialDsn::parse(text).unwrap_err(), Error::SrvHost);
        }
    }

    #[test]
    fn what_is_no_mongodb_uri_is_refused_without_quoting_it() {
        for text in [
            "mongodb://u:hunter2/x@h/d",
            "mongodb://u:hunter2@h:0/d",
            "mongodb://u:hunter2@h/d?tls=perhaps",
            "mongodb://u:hunter2@h/d?a-b=hunter2",
            "mongo://u:hunter2@h/d",
        ] {
            let err = PartialDsn::parse(text).unwrap_err();
            assert!(!err.to_string().contains("hunter2"), "{err}");
        }
    }

    fn dsn(
        scheme: Scheme,
        mode: SslMode,
        password: &str,
        parameters: Vec<(String, String)>,
    ) -> Dsn {
        let endpoint = |host: &str| Endpoint {
            host: host.to_owned(),
            port: 27017,
        };
        let mut address = Address::new(endpoint("h1"), mode).with_scheme(scheme);
        if scheme == Scheme::Mongo {
            address.others = vec![endpoint("fd00::7")];
        }
        address.parameters = parameters;
        Dsn {
            address,
            database: DatabaseName::try_from("orders").unwrap(),
            credential: Credential {
                login: Login::try_from("clerk_a").unwrap(),
                password: password.into(),
            },
        }
    }

    #[test]
    fn logins_of_claims_are_defined_apart_from_the_admins() {
        let own = [
            ("authMechanism", "PLAIN"),
            ("authSource", "admin"),
            ("replicaSet", "rs0"),
        ];
        let own = own.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        let mut dsn = dsn(Scheme::Mongo, SslMode::Disable, "pw", own);
        dsn.address = dsn.address.for_logins(LOGINS_DATABASE);
        assert_eq!(
            dsn.uri().expose_secret(),
            "mongodb://clerk_a:pw@h1:27017,[fd00::7]:27017/orders?authSource=dbclaims\
             &replicaSet=rs0&tls=false"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            password in "[ -~üß日]{1,40}",
            is_srv in any::<bool>(),
            mode in prop::sample::select(vec![
                SslMode::Disable, SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull,
            ]),
            value in "[ -~ü]{0,20}",
        ) {
            let scheme = if is_srv { Scheme::MongoSrv } else { Scheme::Mongo };
            let source = (AUTH_SOURCE.to_owned(), LOGINS_DATABASE.to_owned());
            let parameters = vec![("appName".to_owned(), value), source];
            let dsn = dsn(scheme, mode, &password, parameters);
            let read = parse(dsn.uri().expose_secret());
            prop_assert_eq!(read.scheme, Some(scheme));
            prop_assert_eq!(read.ssl_mode, Some(mode));
            prop_assert_eq!(&read.parameters, &dsn.address.parameters);
            let endpoints: Vec<_> = dsn.address.endpoints().cloned().collect();
            prop_assert_eq!(read.endpoints_of(scheme), endpoints);
            prop_assert_eq!(read.user.as_deref(), Some("clerk_a"));
            prop_assert_eq!(read.database.as_deref(), Some("orders"));
            let back = read.password.unwrap();
            prop_assert_eq!(back.expose_secret(), password.as_str());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = PartialDsn::parse(&format!("mongodb://{text}"));
            let _ = PartialDsn::parse(&format!("mongodb+srv://{text}"));
        }
    }
}
