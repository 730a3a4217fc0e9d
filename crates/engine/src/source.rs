//! From what a claim and its Secret say to the admin's connection string (compatibility 8.2).

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    ErrorClass,
    address::{Address, Engine, Scheme, SslMode},
    dsn::{self, Credential, Dsn, PartialDsn},
    names::{self, DatabaseName, Login},
    place::AdminLogin,
};

/// The data of a Secret, decoded.
pub type SecretData = BTreeMap<String, SecretString>;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("sourceDataFrom.database.dsn: {0}")]
    ClaimDsn(dsn::Error),
    #[error("key {key} of the source Secret: {error}")]
    SecretDsn {
        key: &'static str,
        error: dsn::Error,
    },
    #[error("key {key} of the admin's Secret is missing, empty or not UTF-8 text")]
    NoKey { key: String },
    #[error("{field} is named neither by sourceDataFrom.database.dsn nor by the source Secret")]
    Missing { field: &'static str },
    #[error("sourceDataFrom.database.dsn names no {field}; add it, or a secretRef that does")]
    NotInDsn { field: &'static str },
    #[error("{field} of the source: {error}")]
    Name {
        field: &'static str,
        error: names::Error,
    },
    #[error(
        "the source is a server of another engine than the claim's type {type_:?}; change type"
    )]
    OtherEngine { type_: String },
    #[error("port of the source: {0}")]
    Port(#[from] crate::address::PortError),
}

impl Error {
    pub fn class(&self) -> ErrorClass {
        match self {
            // Secrets are filled by others, and may be filled later.
            Self::NoKey { .. } | Self::Missing { .. } | Self::SecretDsn { .. } => {
                ErrorClass::Blocked
            }
            _ => ErrorClass::InvalidSpec,
        }
    }
}

/// What a claim says about its source.
#[derive(Debug, Default)]
pub struct Request<'a> {
    pub dsn: Option<&'a str>,
    /// The data of `secretRef`, where one is set.
    pub secret: Option<&'a SecretData>,
    /// Used as the admin's login where nothing else names one, as in the original.
    pub user_name: &'a str,
    /// Used where neither DSN nor Secret names a database.
    pub database_name: &'a str,
}

/// The admin's connection string. The Secret's values come first, the claim's DSN completes them.
pub fn admin_dsn(request: &Request<'_>, default_ssl_mode: SslMode) -> Result<Dsn, Error> {
    let claim = match request.dsn.filter(|dsn| !dsn.trim().is_empty()) {
        Some(text) => PartialDsn::parse(text).map_err(Error::ClaimDsn)?,
        None => PartialDsn::default(),
    };
    let secret = request
        .secret
        .map(read_secret)
        .transpose()?
        .unwrap_or_default();
    // The scheme goes with the hosts; parts alone are of the engine that the other one names.
    let scheme = secret.scheme.or(claim.scheme).unwrap_or_default();
    let mut endpoints = secret.endpoints_of(scheme);
    if endpoints.is_empty() {
        endpoints = claim.endpoints_of(scheme);
    }
    let mut parameters = secret.parameters;
    for (keyword, value) in claim.parameters {
        if !parameters.iter().any(|(known, _)| *known == keyword) {
            parameters.push((keyword, value));
        }
    }
    let has_source = parameters.iter().any(|(name, _)| name == dsn::AUTH_SOURCE);
    if scheme == Scheme::Mongo && !has_source {
        parameters.push((dsn::AUTH_SOURCE.to_owned(), "admin".to_owned()));
    }
    let mut endpoints = endpoints.into_iter();
    let primary = endpoints
        .next()
        .filter(|endpoint| !endpoint.host.is_empty())
        .ok_or_else(|| missing(request, "host"))?;
    let login = secret
        .user
        .or(claim.user)
        .unwrap_or_else(|| request.user_name.to_owned());
    let database = secret
        .database
        .or(claim.database)
        .unwrap_or_else(|| request.database_name.to_owned());
    let password = secret
        .password
        .or(claim.password)
        .ok_or_else(|| missing(request, "password"))?;
    Ok(Dsn {
        address: Address {
            scheme,
            primary,
            others: endpoints.collect(),
            ssl_mode: secret
                .ssl_mode
                .or(claim.ssl_mode)
                .unwrap_or(default_ssl_mode),
            ca: request.secret.and_then(ca_bundle),
            parameters,
        },
        database: DatabaseName::try_from(database).map_err(|error| Error::Name {
            field: "database",
            error,
        })?,
        credential: Credential {
            login: Login::try_from(login).map_err(|error| Error::Name {
                field: "user",
                error,
            })?,
            password,
        },
    })
}

/// Refuses a source that does not speak what the claim's `type` says.
pub fn check_engine(dsn: &Dsn, type_: &str) -> Result<(), Error> {
    if Engine::of_type(type_) == Some(dsn.address.scheme.engine()) {
        return Ok(());
    }
    let type_ = type_.to_owned();
    Err(Error::OtherEngine { type_ })
}

/// The admin's credential out of the Secret of a server that is known to the controller.
pub fn admin_credential(
    data: &SecretData,
    login: &AdminLogin,
    password_key: &str,
) -> Result<Credential, Error> {
    let text = |key: &str| {
        let value = data
            .get(key)
            .map(|value| value.expose_secret().trim_end_matches(['\r', '\n']));
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Error::NoKey {
                key: key.to_owned(),
            })
    };
    let login = match login {
        AdminLogin::Named(login) => login.as_str(),
        AdminLogin::InKey(key) => text(key)?,
    };
    Ok(Credential {
        login: Login::try_from(login).map_err(|error| Error::Name {
            field: "user",
            error,
        })?,
        password: text(password_key)?.into(),
    })
}

/// A Secret may still be filled; a DSN alone is the claim's own fault.
fn missing(request: &Request<'_>, field: &'static str) -> Error {
    if request.secret.is_some() {
        Error::Missing { field }
    } else {
        Error::NotInDsn { field }
    }
}

/// Whether the claim's own DSN holds a password, which everybody who may read the claim then sees.
pub fn dsn_holds_password(dsn: &str) -> bool {
    PartialDsn::parse(dsn).is_ok_and(|dsn| dsn.password.is_some())
}

/// The DSN as it may be stored in a status: without its password.
pub fn without_password(dsn: &str) -> Option<String> {
    let parsed = PartialDsn::parse(dsn).ok()?;
    // The passphrase of a client's key is one too, and so is a session token.
    let hides_more = ["sslpassword", "FilePassword", "authMechanismProperties"];
    let holds = |word: &&str| dsn.to_lowercase().contains(&word.to_lowercase());
    if parsed.password.is_none() && !hides_more.iter().any(holds) {
        return Some(dsn.trim().to_owned());
    }
    let redacted = parsed.without_password();
    let password = parsed.password.as_ref().map(ExposeSecret::expose_secret);
    let is_told = password.is_some_and(|password| redacted.contains(password));
    (!is_told).then_some(redacted)
}

fn ca_bundle(secret: &SecretData) -> Option<String> {
    secret
        .get(api::names::secret_key::CA)
        .map(|pem| pem.expose_secret().to_owned())
}

/// `uri_dsn.txt`, else `dsn.txt`, else the parts as single keys; single keys fill what a DSN lacks.
fn read_secret(data: &SecretData) -> Result<PartialDsn, Error> {
    use api::names::secret_key as key;

    let text = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| data.get(*key))
            .map(|value| {
                value
                    .expose_secret()
                    .trim_end_matches(['\r', '\n'])
                    .to_owned()
            })
            .filter(|value| !value.is_empty())
    };
    let mut dsn = PartialDsn::default();
    for key in [key::URI_DSN, key::DSN] {
        if let Some(value) = text(&[key]) {
            dsn = PartialDsn::parse(&value).map_err(|error| Error::SecretDsn { key, error })?;
            break;
        }
    }
    if dsn.endpoints.is_empty()
        && let Some(host) = text(&[key::HOSTNAME, key::HOST, "endpoint"])
    {
        let port = text(&[key::PORT])
            .map(|port| crate::address::parse_port(&port))
            .transpose()?;
        dsn.endpoints.push((host, port));
    }
    dsn.user = dsn.user.or_else(|| text(&[key::USERNAME, "user"]));
    dsn.password = dsn
        .password
        .or_else(|| text(&[key::PASSWORD]).map(SecretString::from));
    dsn.database = dsn.database.or_else(|| text(&[key::DATABASE, "dbname"]));
    if dsn.scheme.is_none() && text(&[key::TYPE]).as_deref() == Some("mongodb") {
        dsn.scheme = Some(Scheme::Mongo);
        for name in [key::AUTH_SOURCE, key::REPLICA_SET] {
            dsn.parameters
                .extend(text(&[name]).map(|value| (name.to_owned(), value)));
        }
    }
    if dsn.ssl_mode.is_none()
        && let Some(mode) = text(&[key::SSL_MODE])
    {
        let error = dsn::Error::SslMode;
        let mode = mode.parse().map_err(|_| Error::SecretDsn {
            key: key::SSL_MODE,
            error,
        })?;
        dsn.ssl_mode = Some(mode);
    }
    Ok(dsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(pairs: &[(&str, &str)]) -> SecretData {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect()
    }

    fn resolve(dsn: Option<&str>, secret: Option<&SecretData>) -> Result<Dsn, Error> {
        let request = Request {
            dsn,
            secret,
            user_name: "clerk",
            database_name: "orders",
        };
        admin_dsn(&request, SslMode::Require)
    }

    #[test]
    fn a_source_speaks_what_the_claims_type_says() {
        let postgres = resolve(Some("postgres://root:pw@h/shop"), None).unwrap();
        let mongo = resolve(Some("mongodb://root:pw@h/shop"), None).unwrap();
        for (dsn, type_, fits) in [
            (&postgres, "", true),
            (&postgres, "aurora-postgresql", true),
            (&postgres, "mongodb", false),
            (&mongo, "mongodb", true),
            (&mongo, "", false),
        ] {
            assert_eq!(check_engine(dsn, type_).is_ok(), fits, "{type_}");
        }
    }

    #[test]
    fn row_6_the_secret_beats_the_dsn_and_the_dsn_completes_the_secret() {
        let data = secret(&[("password", "from-secret\n")]);
        let dsn = resolve(Some("postgres://root:in-dsn@h:7000/shop"), Some(&data)).unwrap();
        assert_eq!(dsn.credential.password.expose_secret(), "from-secret");
        assert_eq!(dsn.credential.login.as_str(), "root");
        assert_eq!(dsn.address.primary.port, 7000);
        assert_eq!(dsn.database.as_str(), "shop");
        assert_eq!(dsn.address.ssl_mode, SslMode::Require);

        let data = secret(&[("uri_dsn.txt", "postgres://boss:pw@other/db?sslmode=disable")]);
        let dsn = resolve(Some("postgres://root@h:7000/shop"), Some(&data)).unwrap();
        assert_eq!(dsn.address.primary.host, "other");
        assert_eq!(dsn.credential.login.as_str(), "boss");
    }

    #[test]
    fn row_6_single_keys_and_the_dsn_alone_work_too() {
        let data = secret(&[("hostname", "h"), ("username", "root"), ("password", "pw")]);
        let dsn = resolve(None, Some(&data)).unwrap();
        assert_eq!(dsn.database.as_str(), "orders");
        let dsn = resolve(Some("postgres://root:pw@h/shop"), None).unwrap();
        assert_eq!(dsn.credential.password.expose_secret(), "pw");
    }

    #[test]
    fn row_4_what_is_missing_is_named() {
        let err = resolve(Some("postgres://root@h/shop"), None).unwrap_err();
        assert_eq!(err, Error::NotInDsn { field: "password" });
        let data = secret(&[("password", "pw")]);
        let err = resolve(None, Some(&data)).unwrap_err();
        assert_eq!(err, Error::Missing { field: "host" });
    }

    #[test]
    fn a_stored_dsn_has_no_password() {
        let stored = without_password("postgres://root:hunter2@h:5433/shop?sslmode=disable");
        assert_eq!(stored.as_deref(), Some("postgres://root@h:5433/shop"));
        let stored = without_password("postgres://root@h/shop?sslpassword=hunter2");
        assert_eq!(stored.as_deref(), Some("postgres://root@h:5432/shop"));
        assert!(dsn_holds_password("host=h password=hunter2"));
    }
}
