//! What a claim's status recorded, and where its database is.

use api::claim::DatabaseClaim;
use engine::{dsn::Dsn, names::DatabaseName, observed::Recorded, wishes::Mode};

use crate::{error::Error, rotation::record};

/// The database of the claim: its own name, or when adopting what the source names.
pub(super) fn database(
    claim: &DatabaseClaim,
    mode: Mode,
    admin: &Dsn,
) -> Result<DatabaseName, Error> {
    match mode {
        Mode::Adopt | Mode::Share | Mode::Administer => Ok(admin.database.clone()),
        Mode::Create => DatabaseName::try_from(claim.spec.database_name.clone()).map_err(|error| {
            engine::source::Error::Name {
                field: "databaseName",
                error,
            }
            .into()
        }),
    }
}

/// What the claim's status recorded.
pub(super) fn recorded(claim: &DatabaseClaim) -> Recorded {
    let Some(status) = &claim.status else {
        return Recorded::default();
    };
    let rotation = status.rotation.clone().unwrap_or_default();
    let active = status.active_db.clone().unwrap_or_default();
    let info = active.connection_info.unwrap_or_default();
    Recorded {
        secret_resource_version: rotation.secret_resource_version,
        current_login: rotation.current_login.or(info.user_name),
        rotated_at: rotation.last_rotation_at.or(active.user_updated_at),
        handled_nonce: rotation.handled_nonce,
        deferred_since: rotation.deferred_since,
        generation: rotation.generation,
        revoked: rotation.revocation.map(|it| it.generation),
        database: info.database_name,
        is_provisioned: status.server.is_some(),
        is_carried_out: record::is_carried_out(&status.conditions, claim.metadata.generation),
    }
}
