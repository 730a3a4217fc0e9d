//! Reads a claim's wishes out of its spec, the server's defaults and the configuration.

use api::{
    claim::{DatabaseClaim, DatabaseClaimStatus, FORMATS, PER_DATABASE},
    config::Config,
    role_claim::DbRoleClaim,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    Access, Bounds, ClaimId, ClaimKind, DriftPolicy, Elevation, Mode, RoleWish, SecretShape,
    SystemFunction, Wishes,
};
use crate::{
    ErrorClass,
    address::Engine,
    names::{self, DatabaseName, RoleName},
    password::Policy,
    place::{Choice, Defaults, Place},
    template, timing,
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("userName: {0}")]
    UserName(names::Error),
    #[error("the logins are called after the role claim, {login}: {error}")]
    LoginName { login: String, error: names::Error },
    #[error("schemarolemap: {0}")]
    Schema(names::Error),
    #[error(
        "schemarolemap: the role of schema {schema} is {level:?}; known are readonly, regular and admin"
    )]
    Level { schema: String, level: String },
    #[error("{field}: {error}")]
    Database {
        field: &'static str,
        error: names::Error,
    },
    #[error("secretTemplate.data: key {key:?} {error}")]
    Template { key: String, error: template::Error },
    #[error("secretTemplate.formats: {name:?} is none; there are {}", FORMATS.join(", "))]
    Format { name: String },
    #[error("dsnName: key {key} is that of a file in secretTemplate.formats; choose another")]
    DsnName { key: &'static str },
    #[error(transparent)]
    Timing(#[from] timing::Error),
    #[error("the claim has no {0}; it was not read from an API server")]
    Metadata(&'static str),
}

impl Error {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::UserName(_)
            | Self::LoginName { .. }
            | Self::Schema(_)
            | Self::Level { .. }
            | Self::Database { .. }
            | Self::Template { .. }
            | Self::Format { .. }
            | Self::DsnName { .. }
            | Self::Timing(_) => ErrorClass::InvalidSpec,
            Self::Metadata(_) => ErrorClass::Bug,
        }
    }
}

/// Databases and roles as the spec lists them.
fn access(claim: &DatabaseClaim) -> Result<Access, Error> {
    let name = |field, name: &String| {
        let name = DatabaseName::try_from(name.clone());
        name.map_err(|error| Error::Database { field, error })
    };
    let spec = &claim.spec;
    let others = spec.databases.iter().flatten();
    let roles = spec.database_roles.iter().flatten();
    Ok(Access {
        others: others
            .map(|database| name("databases", database))
            .collect::<Result<_, _>>()?,
        roles: roles
            .map(|wish| {
                let database = wish.database.as_ref();
                Ok(RoleWish {
                    role: wish.role.clone(),
                    database: database
                        .map(|database| name("databaseRoles", database))
                        .transpose()?,
                })
            })
            .collect::<Result<_, Error>>()?,
        is_per_database: spec.auth_database.as_deref() == Some(PER_DATABASE),
        mechanisms: spec.auth_mechanisms.clone().unwrap_or_default(),
        recorded: recorded(claim),
    })
}

fn recorded(claim: &DatabaseClaim) -> Vec<String> {
    let server = claim
        .status
        .as_ref()
        .and_then(|status| status.server.as_ref());
    server
        .map(|server| server.auth_databases.clone())
        .unwrap_or_default()
}

/// What the reclaim policy says when nobody says anything.
const RETAIN: &str = "Retain";

impl ClaimId {
    pub fn of(claim: &DatabaseClaim) -> Result<Self, Error> {
        Self::read(ClaimKind::Claim, &claim.metadata)
    }

    pub fn of_role_claim(claim: &DbRoleClaim) -> Result<Self, Error> {
        Self::read(ClaimKind::RoleClaim, &claim.metadata)
    }

    fn read(kind: ClaimKind, metadata: &ObjectMeta) -> Result<Self, Error> {
        Ok(Self {
            kind,
            namespace: metadata
                .namespace
                .clone()
                .ok_or(Error::Metadata("namespace"))?,
            name: metadata.name.clone().ok_or(Error::Metadata("name"))?,
            uid: metadata.uid.clone().ok_or(Error::Metadata("UID"))?,
        })
    }
}

impl Wishes {
    pub fn of(claim: &DatabaseClaim, choice: &Choice, config: &Config) -> Result<Self, Error> {
        let spec = &claim.spec;
        let defaults = match &choice.place {
            Place::Server(server) => Some(&server.defaults),
            Place::Source { .. } => None,
        };
        let engine = Engine::of_type(spec.type_.as_deref().unwrap_or_default());
        let engine = engine.unwrap_or(Engine::Postgres);
        let role = RoleName::try_from(spec.user_name.clone()).map_err(Error::UserName)?;
        let (renamed_from, former_roles) = former_roles(claim.status.as_ref(), &role);
        let access = match engine {
            Engine::Postgres => Access::default(),
            Engine::Mongo => access(claim)?,
        };
        let listed = spec.extensions.clone();
        let listed_by_server = || defaults.and_then(|defaults| defaults.extensions.clone());
        Ok(Self {
            claim: ClaimId::of(claim)?,
            mode: choice.mode,
            renamed_from,
            former_roles,
            timing: timing::timing(claim, config, defaults)?,
            are_extensions_explicit: listed.is_some(),
            permitted_extensions: permitted_extensions(&choice.place, config),
            extensions: listed
                .or_else(listed_by_server)
                .unwrap_or_else(|| config.default_extensions.clone()),
            system_functions: config
                .system_functions
                .iter()
                .filter_map(|(key, value)| SystemFunction::of_key(key, value))
                .collect(),
            wants_replication: wants_replication(claim, &choice.place),
            elevation: elevation(claim, choice, config),
            bounds: Bounds::of(&choice.place),
            password: Policy::of(engine, config),
            secret: secret_shape(claim, defaults, &access)?,
            engine,
            access,
            share: None,
            drift: DriftPolicy::of(spec.drift_policy.as_deref()),
            role,
        })
    }
}

/// Whether deleting the claim removes what it made.
pub fn deletes(claim: &DatabaseClaim, server: Option<&Defaults>) -> bool {
    let own = claim.spec.reclaim_policy.as_deref();
    let inherited = server.and_then(|server| server.reclaim_policy.as_deref());
    own.or(inherited).unwrap_or(RETAIN) != RETAIN
}

/// On a server, its operator's lists: an extension may open the machine to whoever uses it.
fn permitted_extensions(place: &Place, config: &Config) -> Option<Vec<String>> {
    let Place::Server(server) = place else {
        return None;
    };
    let lists = [&server.policy.extensions, &config.default_extensions];
    let lists = lists.into_iter().chain(&server.defaults.extensions);
    Some(lists.flatten().cloned().collect())
}

/// Replication needs the consent of a server; an adopted database is the tenant's own.
fn wants_replication(claim: &DatabaseClaim, place: &Place) -> bool {
    let is_allowed = match place {
        Place::Server(server) => server.policy.allow_replication,
        Place::Source { .. } => true,
    };
    claim.spec.enable_replication_role == Some(true) && is_allowed
}

/// Both operators must consent: of the controller by its configuration, of the server by its policy.
fn elevation(claim: &DatabaseClaim, choice: &Choice, config: &Config) -> Elevation {
    match &choice.place {
        Place::Server(server) if choice.mode == Mode::Create => {
            let is_allowed = server.policy.allow_super_user && config.support_super_user_elevation;
            if is_allowed && claim.spec.enable_super_user == Some(true) {
                Elevation::Granted
            } else {
                Elevation::Denied
            }
        }
        _ => Elevation::NotOurs,
    }
}

/// The owner role that status names, where it is not the one wished for, and all earlier names
/// whose logins still wait. A claim of the original has only its login there.
fn former_roles(
    status: Option<&DatabaseClaimStatus>,
    role: &RoleName,
) -> (Option<RoleName>, Vec<RoleName>) {
    let Some(status) = status else {
        return (None, Vec::new());
    };
    let server = status.server.clone().unwrap_or_default();
    let from_login = || {
        let login = status
            .active_db
            .as_ref()?
            .connection_info
            .as_ref()?
            .user_name
            .clone()?;
        login
            .strip_suffix("_a")
            .or_else(|| login.strip_suffix("_b"))
            .map(str::to_owned)
    };
    let is_other = |name: &RoleName| name != role;
    let renamed_from = server
        .owner_role
        .or_else(from_login)
        .and_then(|name| RoleName::try_from(name).ok())
        .filter(is_other);
    let recorded = server
        .former_owner_roles
        .into_iter()
        .map(RoleName::try_from);
    let mut all: Vec<_> = recorded.filter_map(Result::ok).filter(is_other).collect();
    all.extend(renamed_from.clone().filter(|name| !all.contains(name)));
    (renamed_from, all)
}

fn secret_shape(
    claim: &DatabaseClaim,
    server: Option<&Defaults>,
    access: &Access,
) -> Result<SecretShape, Error> {
    let mut own = claim.spec.secret_template.clone().unwrap_or_default();
    if claim.metadata.deletion_timestamp.is_some() {
        // Nothing is published any more, and a bad text must not keep the claim's logins.
        own.data.clear();
        own.formats.clear();
    }
    let shape = SecretShape {
        name: claim.secret_name().to_owned(),
        other_databases: access.others.clone(),
        is_per_database: access.is_per_database,
        dsn_name: claim.spec.dsn_name.clone().unwrap_or_default(),
        engine: claim
            .spec
            .type_
            .clone()
            .filter(|engine| !engine.is_empty())
            .unwrap_or_else(|| "postgres".to_owned()),
        is_owned: deletes(claim, server),
        ..SecretShape::default()
    };
    shape.with(own)
}

#[cfg(test)]
mod tests {
    use api::claim::{DatabaseClaimSpec, SecretTemplate};
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;

    #[test]
    fn a_bad_template_is_named_and_never_holds_a_deletion() {
        let text = ("MONGODB_URL".to_owned(), "{user}".to_owned());
        let template = SecretTemplate {
            data: [text].into(),
            ..SecretTemplate::default()
        };
        let spec = DatabaseClaimSpec {
            secret_template: Some(template),
            ..DatabaseClaimSpec::default()
        };
        let mut claim = DatabaseClaim::new("desktop", spec);
        let error = secret_shape(&claim, None, &Access::default()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidSpec);
        assert!(
            error.to_string().contains("\"MONGODB_URL\" has a part"),
            "{error}"
        );
        claim.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert_eq!(
            secret_shape(&claim, None, &Access::default())
                .unwrap()
                .templates,
            [].into()
        );
    }
}
