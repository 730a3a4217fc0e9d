//! Where a claim's database lives: an existing source, a DatabaseServer, or a host block of the
//! configuration. Pure: Secrets are only named here, and read by who asks.

use std::{collections::BTreeMap, time::Duration};

use api::{
    claim::{DatabaseClaim, db_state},
    config::Config,
    server::{DatabaseServer, MongoServer, Quotas, ServerPolicy},
};

use crate::{
    ErrorClass,
    address::{Address, Endpoint, Engine, Scheme, SslMode},
    dsn,
    names::{self, DatabaseName},
    wishes::Mode,
};

/// A Secret of some namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    pub namespace: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// The claim's own words, to be completed from the Secret.
    Source {
        dsn: Option<String>,
        secret: Option<SecretName>,
    },
    Server(Box<Server>),
}

/// A server that is known to the controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    pub name: String,
    pub address: Address,
    /// The database that the admin connects to.
    pub database: DatabaseName,
    pub admin: AdminSecret,
    /// Where the admin's credential stands since it is rotated; `admin` is what it began with.
    pub rotated: Option<SecretName>,
    pub policy: ServerPolicy,
    pub max_connections: Option<u16>,
    pub defaults: Defaults,
    pub quotas: Quotas,
}

/// Where the admin's credential stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSecret {
    pub secret: SecretName,
    pub password_key: String,
    pub login: AdminLogin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminLogin {
    Named(String),
    InKey(String),
}

/// What holds for claims on this server that say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Defaults {
    pub period: Option<Duration>,
    pub reclaim_policy: Option<String>,
    pub extensions: Option<Vec<String>>,
}

/// A claim's place, and what should be said about the choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub mode: Mode,
    pub place: Place,
    /// The claim asks for a database of its own and runs on a source until it is migrated.
    pub needs_migration: bool,
    /// `sourceDataFrom` is set and has no effect: the claim runs on a database of its own.
    pub ignores_source: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("type {0} is not served; use postgres, aurora-postgresql or mongodb")]
    Engine(String),
    #[error(
        "server {server} is of another engine than the claim's type; name another server, or change type"
    )]
    OtherEngine { server: String },
    #[error("server {server}: member {member:?} is not host or host:port")]
    Member { server: String, member: String },
    #[error("sourceDataFrom.type {0:?} is not supported; use database")]
    SourceType(String),
    #[error("sourceDataFrom.database is missing")]
    NoSource,
    #[error("useExistingSource is true, but sourceDataFrom is missing")]
    NoSourceForExisting,
    #[error(
        "secretRef {name} is in namespace {namespace}; a claim may use Secrets of its own namespace only"
    )]
    ForeignSecret { namespace: String, name: String },
    #[error(
        "server {0} does not exist; name a DatabaseServer or a host block of the configuration"
    )]
    UnknownServer(String),
    #[error("server {server} does not admit namespace {namespace}; ask who runs the server")]
    NotAdmitted { server: String, namespace: String },
    #[error(
        "no server admits namespace {0}; create a DatabaseServer that does, or set sourceDataFrom"
    )]
    NoServer(String),
    #[error("several servers admit this namespace ({0}); name one in spec.server")]
    SeveralServers(String),
    #[error("server {server}: {error}")]
    Name { server: String, error: names::Error },
    #[error(
        "server {server}: the admin's Secret is in namespace {namespace}; put it into the controller's own namespace, or list {namespace} under adminSecretNamespaces of the configuration"
    )]
    AdminSecret { server: String, namespace: String },
    #[error("server {server}: port {port} is not a number from 1 to 65535")]
    Port { server: String, port: i32 },
}

impl Error {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::ForeignSecret { .. } | Self::NotAdmitted { .. } | Self::AdminSecret { .. } => {
                ErrorClass::Forbidden
            }
            // A server may appear later; the claim is not at fault.
            Self::NoServer(_) | Self::UnknownServer(_) => ErrorClass::Blocked,
            _ => ErrorClass::InvalidSpec,
        }
    }
}

/// What a choice is made from.
pub struct Known<'a> {
    pub config: &'a Config,
    pub servers: &'a [&'a DatabaseServer],
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The controller's own namespace, where host blocks have their Secrets.
    pub own_namespace: &'a str,
}

/// Chooses by compatibility 8.3: never an empty database behind a named source.
pub fn choose(claim: &DatabaseClaim, known: &Known<'_>) -> Result<Choice, Error> {
    let spec = &claim.spec;
    let word = spec.type_.as_deref().unwrap_or_default();
    let engine = Engine::of_type(word).ok_or_else(|| Error::Engine(word.to_owned()))?;
    let active = claim
        .status
        .as_ref()
        .and_then(|status| status.active_db.as_ref());
    let state = active.and_then(|active| active.db_state.as_deref());
    let wants_source = spec.use_existing_source == Some(true);
    let runs_on_own = state == Some(db_state::READY);
    if spec.source_data_from.is_some() && (wants_source || !runs_on_own) {
        let place = spec_source(claim)?;
        return Ok(choice(Mode::Adopt, place, !wants_source));
    }
    let stored = active
        .and_then(|active| active.source_data_from.as_ref())
        .filter(|_| state == Some(db_state::USING_EXISTING));
    if let Some(source) = stored {
        let database = source.database.as_ref().ok_or(Error::NoSource)?;
        let place = source_place(claim, database.dsn.as_deref(), database.secret_ref.as_ref())?;
        return Ok(choice(Mode::Adopt, place, !wants_source));
    }
    if wants_source {
        return Err(Error::NoSourceForExisting);
    }
    let server = Place::Server(Box::new(server(claim, engine, known)?));
    let mut choice = choice(Mode::Create, server, false);
    choice.ignores_source = spec.source_data_from.is_some();
    Ok(choice)
}

fn choice(mode: Mode, place: Place, needs_migration: bool) -> Choice {
    Choice {
        mode,
        place,
        needs_migration,
        ignores_source: false,
    }
}

fn spec_source(claim: &DatabaseClaim) -> Result<Place, Error> {
    let source = claim
        .spec
        .source_data_from
        .as_ref()
        .ok_or(Error::NoSource)?;
    if source.type_ != "database" {
        return Err(Error::SourceType(source.type_.clone()));
    }
    let database = source.database.as_ref().ok_or(Error::NoSource)?;
    source_place(claim, database.dsn.as_deref(), database.secret_ref.as_ref())
}

fn source_place(
    claim: &DatabaseClaim,
    dsn: Option<&str>,
    secret: Option<&api::claim::SecretRef>,
) -> Result<Place, Error> {
    let own = claim.metadata.namespace.clone().unwrap_or_default();
    let secret = secret.map(|secret| SecretName {
        namespace: secret
            .namespace
            .clone()
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or_else(|| own.clone()),
        name: secret.name.clone(),
    });
    if let Some(SecretName { namespace, name }) = &secret
        && *namespace != own
    {
        let (namespace, name) = (namespace.clone(), name.clone());
        return Err(Error::ForeignSecret { namespace, name });
    }
    if dsn.is_none_or(str::is_empty) && secret.is_none() {
        return Err(Error::NoSource);
    }
    Ok(Place::Source {
        dsn: dsn.map(str::to_owned),
        secret,
    })
}

/// The server named by the claim, else the one that its status recorded, else the only one of the
/// claim's engine that admits its namespace.
fn server(claim: &DatabaseClaim, engine: Engine, known: &Known<'_>) -> Result<Server, Error> {
    let fits = |server: Server| {
        let name = server.name.clone();
        let fitting = (server.address.scheme.engine() == engine).then_some(server);
        fitting.ok_or(Error::OtherEngine { server: name })
    };
    let namespace = claim.metadata.namespace.clone().unwrap_or_default();
    let admits = |server: &DatabaseServer| {
        let allowed = server.spec.allowed_namespaces.as_ref();
        allowed.is_some_and(|allowed| allowed.admits(&namespace, known.namespace_labels))
    };
    let recorded = claim
        .status
        .as_ref()
        .and_then(|s| s.server.as_ref()?.name.clone());
    let named = claim
        .spec
        .server
        .clone()
        .filter(|name| !name.is_empty())
        .or(recorded);
    if let Some(name) = named {
        if let Some(server) = known.servers.iter().find(|server| name_of(server) == name) {
            if !admits(server) {
                return Err(Error::NotAdmitted {
                    server: name,
                    namespace,
                });
            }
            return of_object(server, known).and_then(fits);
        }
        let Some((name, block)) = known.config.server(&name) else {
            return Err(Error::UnknownServer(name));
        };
        return of_block(name, block, known).and_then(fits);
    }
    let objects = known.servers.iter().filter(|server| admits(server));
    let mut found: Vec<Server> = objects
        .map(|server| of_object(server, known))
        .collect::<Result<_, _>>()?;
    for (name, block) in &known.config.servers {
        found.push(of_block(name, block, known)?);
    }
    found.retain(|server| server.address.scheme.engine() == engine);
    if found.len() > 1 {
        let all: Vec<_> = found.iter().map(|server| server.name.as_str()).collect();
        return Err(Error::SeveralServers(all.join(", ")));
    }
    found.pop().ok_or(Error::NoServer(namespace))
}

fn name_of(server: &DatabaseServer) -> &str {
    server.metadata.name.as_deref().unwrap_or_default()
}

/// The server that a DatabaseServer object describes.
pub fn of_object(server: &DatabaseServer, known: &Known<'_>) -> Result<Server, Error> {
    let (name, spec) = (name_of(server).to_owned(), &server.spec);
    let engine = Engine::of_type(&spec.engine).ok_or_else(|| Error::Engine(spec.engine.clone()))?;
    let scheme = match engine {
        Engine::Postgres => Scheme::Postgres,
        Engine::Mongo => Scheme::Mongo,
    };
    let given = spec.port.unwrap_or(scheme.default_port().into());
    let port = u16::try_from(given).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Error::Port {
        server: name.clone(),
        port: given,
    })?;
    let endpoint = Endpoint {
        host: spec.host.clone(),
        port,
    };
    let mode = spec.ssl_mode.as_deref().and_then(|mode| mode.parse().ok());
    let mode = mode.unwrap_or(known.config.default_ssl_mode);
    let mut address = Address::new(endpoint, mode).with_scheme(scheme);
    address.ca.clone_from(&spec.ca_bundle);
    if engine == Engine::Mongo {
        add_mongo(&mut address, &name, spec.mongodb.as_ref())?;
    }
    let home = spec.database.as_deref().unwrap_or(match engine {
        Engine::Postgres => "postgres",
        Engine::Mongo => "admin",
    });
    let database = DatabaseName::try_from(home).map_err(|error| Error::Name {
        server: name.clone(),
        error,
    })?;
    let admin = &spec.admin_secret_ref;
    let secret = SecretName {
        namespace: admin
            .namespace
            .clone()
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or_else(|| known.own_namespace.to_owned()),
        name: admin.name.clone(),
    };
    // Whoever may make servers must not make the controller read any Secret of the cluster.
    let allowed = &known.config.admin_secret_namespaces;
    if secret.namespace != known.own_namespace && !allowed.contains(&secret.namespace) {
        return Err(Error::AdminSecret {
            server: name,
            namespace: secret.namespace,
        });
    }
    let rotated = rotated(server, &secret.namespace);
    let quotas = spec.quotas.clone().unwrap_or_default();
    let defaults = spec.defaults.clone().unwrap_or_default();
    Ok(Server {
        name,
        address,
        database,
        admin: AdminSecret {
            secret,
            password_key: admin.password_key.clone(),
            login: AdminLogin::InKey(admin.username_key.clone()),
        },
        rotated,
        policy: spec.policy.clone().unwrap_or_default(),
        max_connections: quotas
            .max_admin_connections
            .and_then(|n| u16::try_from(n).ok()),
        defaults: Defaults {
            period: defaults
                .rotation_period
                .as_ref()
                .and_then(crate::timing::duration),
            reclaim_policy: defaults.reclaim_policy,
            extensions: defaults.extensions,
        },
        quotas,
    })
}

/// The Secret with the rotated credential, beside the operator's. A record of another namespace is
/// another controller's, and one that began with another Secret is of another admin. A server that
/// was made again has no record, and perhaps a Secret that the one before left.
fn rotated(server: &DatabaseServer, namespace: &str) -> Option<SecretName> {
    let status = server.status.as_ref();
    let is_ours = match status.and_then(|status| status.admin_secret.as_ref()) {
        Some(recorded) => {
            recorded.namespace == namespace
                && recorded.began_with == server.spec.admin_secret_ref.name
        }
        None => server.spec.admin_rotation.is_some(),
    };
    is_ours.then(|| SecretName {
        namespace: namespace.to_owned(),
        name: api::names::admin_secret(name_of(server)),
    })
}

/// Members, the set's name, and where the admin's login is defined.
fn add_mongo(address: &mut Address, server: &str, more: Option<&MongoServer>) -> Result<(), Error> {
    let more = more.cloned().unwrap_or_default();
    for text in more.members {
        let endpoint = dsn::endpoint(&text, address.scheme.default_port());
        address.others.push(endpoint.map_err(|_| Error::Member {
            server: server.to_owned(),
            member: text,
        })?);
    }
    let source = more.auth_source.unwrap_or_else(|| "admin".to_owned());
    let parameters = [
        (dsn::AUTH_SOURCE, Some(source)),
        (dsn::REPLICA_SET, more.replica_set),
    ];
    let given = parameters.into_iter();
    let given = given.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    address.parameters.extend(given);
    Ok(())
}

fn of_block(
    name: &str,
    block: &api::config::HostBlock,
    known: &Known<'_>,
) -> Result<Server, Error> {
    let endpoint = Endpoint {
        host: block.host.clone(),
        port: block.port,
    };
    let ssl_mode: SslMode = block.ssl_mode;
    let database = DatabaseName::try_from("postgres").map_err(|error| Error::Name {
        server: name.to_owned(),
        error,
    })?;
    Ok(Server {
        name: name.to_owned(),
        address: Address::new(endpoint, ssl_mode),
        database,
        admin: AdminSecret {
            secret: SecretName {
                namespace: known.own_namespace.to_owned(),
                name: block.password_secret_ref.clone(),
            },
            password_key: block.password_secret_key.clone(),
            login: AdminLogin::Named(block.username.clone()),
        },
        rotated: None,
        policy: ServerPolicy::default(),
        max_connections: None,
        defaults: Defaults::default(),
        quotas: Quotas::default(),
    })
}

#[cfg(test)]
mod tests;
