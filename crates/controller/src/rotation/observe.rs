//! Reads Secret and server under the claim's lock.

use engine::{
    decide,
    dsn::{Credential, Dsn},
    names::DatabaseName,
    observed::{Observed, Proof},
    secret::{Owner, Stored},
    wishes::{Access, Mode, Wishes},
};

use crate::{context::Context, error::Error};

/// Refuses a Secret that is somebody else's.
pub(crate) fn check_owner(wishes: &Wishes, secret: Option<&Stored>) -> Result<(), Error> {
    let owner = secret.map(|secret| secret.owner(&wishes.claim));
    match owner {
        Some(Owner::Foreign) => Err(foreign(wishes)),
        _ => Ok(()),
    }
}

/// Refuses a Secret of the original controller, unless it is this claim's by the take-over test.
pub(super) fn check_take_over(
    wishes: &Wishes,
    database: &DatabaseName,
    observed: &Observed,
) -> Result<(), Error> {
    let secret = observed.secret.as_ref();
    let owner = secret.map(|secret| secret.owner(&wishes.claim));
    let is_take_over = match wishes.mode {
        Mode::Share => decide::is_shared_take_over(wishes, observed),
        Mode::Adopt | Mode::Create => decide::is_take_over(wishes, database, observed),
        Mode::Administer => false,
    };
    if owner == Some(Owner::Unclaimed) && !is_take_over {
        return Err(foreign(wishes));
    }
    Ok(())
}

fn foreign(wishes: &Wishes) -> Error {
    Error::ForeignSecret {
        name: wishes.secret.name.clone(),
    }
}

/// The credential that a Secret publishes and whether it logs in. After an edit by hand its keys
/// may disagree; the first login and password that work are the credential.
pub(super) async fn prove(
    context: &Context,
    wishes: &Wishes,
    secret: &Stored,
    target: &Target<'_>,
) -> Result<(Proof, Option<Credential>), Error> {
    let mut all = secret.credentials();
    for credential in &all {
        let login = credential.login.as_str();
        let role = match &wishes.renamed_from {
            Some(former) if !wishes.logins().contains(login) => former,
            _ => &wishes.role,
        };
        let dsns = target.dsns(credential.clone());
        match context.engines.prove(&dsns, role).await? {
            Proof::Refused => {}
            shown => return Ok((shown, Some(credential.clone()))),
        }
    }
    let first = (!all.is_empty()).then(|| all.swap_remove(0));
    Ok((Proof::Refused, first))
}

/// Where the claim's logins connect.
pub(crate) struct Target<'a> {
    pub admin: &'a Dsn,
    pub database: &'a DatabaseName,
    pub access: &'a Access,
}

impl Target<'_> {
    pub(crate) fn dsn(&self, credential: Credential) -> Dsn {
        let published = self.access.auth_databases(self.database).swap_remove(0);
        Dsn {
            address: self.admin.address.for_logins(&published),
            database: self.database.clone(),
            credential,
        }
    }

    /// The connection strings that a credential must work with before it may be published: of each
    /// database that logs the claim in.
    pub(crate) fn dsns(&self, credential: Credential) -> Vec<Dsn> {
        let dsn = self.dsn(credential);
        let others = if self.access.is_per_database {
            dsn.of_databases(&self.access.others, true)
        } else {
            Vec::new()
        };
        std::iter::once(dsn).chain(others).collect()
    }

    /// The admin's connection string for the claim's own database.
    pub(crate) fn admin_dsn(&self) -> Dsn {
        Dsn {
            database: self.database.clone(),
            ..self.admin.clone()
        }
    }
}
