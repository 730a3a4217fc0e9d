//! Reads Secret and server under the claim's lock.

use api::claim::DatabaseClaim;
use engine::{
    catalog::Question,
    dsn::{Credential, Dsn},
    names::{DatabaseName, Login},
    observed::{Observed, Proof, Recorded},
    secret::{Owner, Stored},
    wishes::{Mode, Wishes},
};
use postgres::Kind;
use secrecy::SecretString;

use crate::{context::Context, error::Error, publish::Found};

/// The question that tells everything about a claim's roles and database.
pub(super) fn question(wishes: &Wishes, database: &DatabaseName) -> Question {
    let mut roles = vec![wishes.role.to_string()];
    let mut logins: Vec<Login> = wishes.logins().both().map(Clone::clone).to_vec();
    roles.extend(wishes.renamed_from.iter().map(ToString::to_string));
    logins.extend(wishes.former_logins().flat_map(|pair| [pair.a, pair.b]));
    roles.extend(logins.iter().map(ToString::to_string));
    Question {
        roles,
        logins,
        database: database.clone(),
    }
}

/// The database of the claim: its own name, or when adopting what the source names.
pub(super) fn database(
    claim: &DatabaseClaim,
    mode: Mode,
    admin: &Dsn,
) -> Result<DatabaseName, Error> {
    match mode {
        Mode::Adopt => Ok(admin.database.clone()),
        Mode::Create => DatabaseName::try_from(claim.spec.database_name.clone()).map_err(|error| {
            engine::source::Error::Name {
                field: "databaseName",
                error,
            }
            .into()
        }),
    }
}

/// Refuses a Secret that is somebody else's; one of the original's is looked at more closely.
pub(super) fn check_owner(wishes: &Wishes, secret: Option<&Stored>) -> Result<(), Error> {
    let owner = secret.map(|secret| secret.owner(&wishes.claim.name, &wishes.claim.uid));
    match owner {
        Some(Owner::Foreign) => Err(Error::ForeignSecret {
            name: wishes.secret.name.clone(),
        }),
        _ => Ok(()),
    }
}

/// The credential that a Secret publishes and whether it logs in. After an edit by hand its keys
/// may disagree; the first password that works is the credential.
pub(super) async fn prove(
    context: &Context,
    wishes: &Wishes,
    secret: &Stored,
    target: &Target<'_>,
) -> Result<(Proof, Option<Credential>), Error> {
    let Some(login) = secret.login().and_then(|login| Login::try_from(login).ok()) else {
        return Ok((Proof::Refused, None));
    };
    let role = match &wishes.renamed_from {
        Some(former) if !wishes.logins().contains(login.as_str()) => former,
        _ => &wishes.role,
    };
    for password in secret.passwords() {
        let credential = Credential {
            login: login.clone(),
            password,
        };
        let dsn = target.dsn(credential.clone());
        match postgres::log_in(&dsn, role, context.admins.timeouts()).await {
            Ok(()) => return Ok((Proof::Works, Some(credential))),
            Err(err) => match err.kind {
                Kind::RefusedLogin(_) => {}
                // The password was right; what is wrong behind it is put right with the roles.
                Kind::WrongRole { .. } | Kind::NoDatabase(_) | Kind::Forbidden(_) => {
                    return Ok((Proof::Works, Some(credential)));
                }
                _ => return Err(err.into()),
            },
        }
    }
    let first = secret.passwords().into_iter().next();
    Ok((
        Proof::Refused,
        first.map(|password: SecretString| Credential { login, password }),
    ))
}

/// Where the claim's logins connect.
pub(super) struct Target<'a> {
    pub admin: &'a Dsn,
    pub database: &'a DatabaseName,
}

impl Target<'_> {
    pub(super) fn dsn(&self, credential: Credential) -> Dsn {
        Dsn {
            address: self.admin.address.clone(),
            database: self.database.clone(),
            credential,
        }
    }

    /// The admin's connection string for the claim's own database.
    pub(super) fn admin_dsn(&self) -> Dsn {
        self.dsn(self.admin.credential.clone())
    }
}

/// What the claim's status recorded.
pub(super) fn recorded(claim: &DatabaseClaim) -> Recorded {
    let Some(status) = &claim.status else {
        return Recorded::default();
    };
    let rotation = status.rotation.clone().unwrap_or_default();
    let active = status.active_db.clone().unwrap_or_default();
    let active_login = active.connection_info.and_then(|info| info.user_name);
    Recorded {
        secret_resource_version: rotation.secret_resource_version,
        current_login: rotation.current_login.or(active_login),
        rotated_at: rotation.last_rotation_at.or(active.user_updated_at),
        handled_nonce: rotation.handled_nonce,
        deferred_since: rotation.deferred_since,
        generation: rotation.generation,
    }
}

/// Puts together what was seen.
pub(super) fn observed(
    found: Option<&Found>,
    catalog: engine::catalog::Catalog,
    published: Proof,
    recorded: Recorded,
) -> Observed {
    Observed {
        secret: found.map(|found| found.stored.clone()),
        catalog,
        published,
        recorded,
    }
}
