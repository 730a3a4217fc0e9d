//! Reads a role claim's wishes out of its map and the wishes of the claim whose database it shares.

use std::collections::BTreeMap;

use api::{claim::DatabaseClaimStatus, role_claim::DbRoleClaim};

use super::{
    Access, ClaimId, DriftPolicy, Elevation, Error, Mode, RoleWish, SecretShape, Timing, Wishes,
};
use crate::{
    address::Engine,
    asked::Asked,
    names::{DatabaseName, LoginPair, RoleName, SchemaName, SchemaRole},
    role_claim,
    share::{Level, Share},
};

impl Wishes {
    /// What a role claim with a `schemarolemap` asks for. It lives where `source` lives, and by
    /// its rhythm.
    pub fn of_role_claim(
        role_claim: &DbRoleClaim,
        source: &Self,
        status: &DatabaseClaimStatus,
    ) -> Result<Self, Error> {
        let claim = ClaimId::of_role_claim(role_claim)?;
        let role = role_name(&claim.name)?;
        let map = role_claim.spec.schema_role_map.iter().flatten();
        let levels = map.map(|(schema, level)| {
            let known = level.parse::<Level>();
            let level = known.map_err(|_| Error::Level {
                schema: schema.clone(),
                level: level.clone(),
            })?;
            Ok((schema.clone(), level))
        });
        let levels = levels.collect::<Result<BTreeMap<_, _>, Error>>()?;
        let is_postgres = source.engine == Engine::Postgres;
        let share = is_postgres.then(|| share(role_claim, source, status, &levels));
        let access = if is_postgres {
            Access::default()
        } else {
            access(&source.access, &levels)?
        };
        let timing = Timing {
            asked: Asked::of(role_claim.metadata.annotations.as_ref()),
            ..source.timing.clone()
        };
        Ok(Self {
            mode: Mode::Share,
            role,
            renamed_from: None,
            former_roles: Vec::new(),
            timing,
            extensions: Vec::new(),
            are_extensions_explicit: false,
            permitted_extensions: None,
            system_functions: Vec::new(),
            wants_replication: false,
            elevation: Elevation::NotOurs,
            bounds: source.bounds.clone(),
            password: source.password,
            secret: secret_shape(role_claim, source, &access)?,
            engine: source.engine,
            access,
            share: share.transpose()?,
            drift: DriftPolicy::of(role_claim.spec.drift_policy.as_deref()),
            claim,
        })
    }
}

fn role_name(claim: &str) -> Result<RoleName, Error> {
    role_claim::role(claim).map_err(|error| Error::LoginName {
        login: format!("{claim}_user_a"),
        error,
    })
}

fn share(
    role_claim: &DbRoleClaim,
    source: &Wishes,
    status: &DatabaseClaimStatus,
    levels: &BTreeMap<String, Level>,
) -> Result<Share, Error> {
    let schemas = levels.iter().map(|(schema, level)| {
        let schema = SchemaName::try_from(schema.clone()).map_err(Error::Schema)?;
        Ok((schema, *level))
    });
    let recorded = role_claim.status.as_ref();
    let recorded = recorded.and_then(|status| status.schemas_status.as_ref());
    let recorded = recorded.into_iter().flat_map(|all| all.role_status.keys());
    let owner = status.server.as_ref();
    let owner = owner.and_then(|server| server.owner_role.clone());
    let owner = owner.and_then(|name| RoleName::try_from(name).ok());
    Ok(Share {
        source: source.claim.clone(),
        owner: owner.unwrap_or_else(|| source.role.clone()),
        is_made: source.mode == Mode::Create,
        schemas: schemas.collect::<Result<_, Error>>()?,
        recorded: recorded
            .filter_map(|name| SchemaRole::try_from(name.clone()).ok())
            .collect(),
    })
}

/// On MongoDB, databases stand for schemas: those of the source claim, which `decide` checks.
fn access(source: &Access, levels: &BTreeMap<String, Level>) -> Result<Access, Error> {
    let mut roles = Vec::new();
    for (database, level) in levels {
        let name = DatabaseName::try_from(database.clone());
        let name = name.map_err(|error| Error::Database {
            field: "schemarolemap",
            error,
        })?;
        roles.extend(level.mongo_roles().iter().map(|role| RoleWish {
            role: (*role).to_owned(),
            database: Some(name.clone()),
        }));
    }
    Ok(Access {
        others: source.others.clone(),
        roles,
        is_per_database: false,
        mechanisms: source.mechanisms.clone(),
        recorded: Vec::new(),
    })
}

/// Keys and files are the source claim's, unless the role claim says its own.
fn secret_shape(
    role_claim: &DbRoleClaim,
    source: &Wishes,
    access: &Access,
) -> Result<SecretShape, Error> {
    let shape = SecretShape {
        name: role_claim.secret_name().to_owned(),
        other_databases: access.others.clone(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        type_: None,
        is_per_database: false,
        is_owned: true,
        ..source.secret.clone()
    };
    match &role_claim.spec.secret_template {
        Some(own) => shape.with(own.clone()),
        None => Ok(shape),
    }
}

/// The logins of a role claim of that name, where they can exist at all.
pub fn role_claim_logins(name: &str) -> Option<LoginPair> {
    role_name(name).ok().as_ref().map(LoginPair::of_role)
}
