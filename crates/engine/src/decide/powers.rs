//! What roles may do beside owning and logging in: replication, the power of a cloud's superuser, and
//! how many sessions they may have. Only differences become steps.

use crate::{
    catalog::{Catalog, Role},
    mark::Mark,
    names::Login,
    step::ServerStep,
    wishes::{Elevation, Wishes},
};

/// The role that a cloud's admin is a member of, in the place of a superuser.
pub(super) const RDS_SUPERUSER: &str = "rds_superuser";

/// Given for an attribute, and compared with it.
pub(super) const RDS_REPLICATION: &str = "rds_replication";

pub(super) fn replication_step(
    wishes: &Wishes,
    login: &Login,
    found: &Role,
    catalog: &Catalog,
) -> Option<ServerStep> {
    let through_rds = catalog.has_rds_replication;
    let has = if through_rds {
        found.member_of.iter().any(|name| name == RDS_REPLICATION)
    } else {
        found.has_replication
    };
    let login = login.clone();
    match (wishes.wants_replication, has) {
        (true, false) => Some(ServerStep::AllowReplication { login, through_rds }),
        (false, true) => Some(ServerStep::RevokeReplication { login, through_rds }),
        _ => None,
    }
}

/// Why a server gives nobody the power of a superuser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoElevation {
    /// It is no cloud's, and a real superuser is never made.
    NoRole,
    /// The admin may not grant the role.
    WeakAdmin,
}

impl NoElevation {
    /// As a part of a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoRole => {
                "the server has no role rds_superuser, and real superusers are not made"
            }
            Self::WeakAdmin => {
                "the server's admin may not grant rds_superuser; it needs ADMIN OPTION"
            }
        }
    }
}

pub fn no_elevation(catalog: &Catalog) -> Option<NoElevation> {
    if !catalog.has_rds_superuser {
        return Some(NoElevation::NoRole);
    }
    (!catalog.grants_rds_superuser).then_some(NoElevation::WeakAdmin)
}

/// Given and taken only where the admin can do both: what can't be done must not hold up a
/// rotation.
pub(super) fn elevation_step(
    wishes: &Wishes,
    owner: Option<&Role>,
    catalog: &Catalog,
) -> Option<ServerStep> {
    if no_elevation(catalog).is_some() {
        return None;
    }
    let is_member = |owner: &Role| owner.member_of.iter().any(|name| name == RDS_SUPERUSER);
    let has_all = owner.is_some_and(|owner| owner.can_create_roles && is_member(owner));
    let role = wishes.role.clone();
    let is_ours = || {
        let mut all = catalog.memberships.iter();
        all.any(|it| it.member == role.as_str() && is_elevation(&it.role, &it.grantor, catalog))
    };
    let has_any = owner.is_some_and(|owner| owner.can_create_roles || is_ours());
    match wishes.elevation {
        Elevation::Granted if !has_all => Some(ServerStep::Elevate { role }),
        Elevation::Denied if has_any => Some(ServerStep::Demote { role }),
        Elevation::Granted | Elevation::Denied | Elevation::NotOurs => None,
    }
}

/// Whether a membership is one that the controller gives and takes. From PostgreSQL 16 on, what another
/// granted is taken by naming him, as any other difference.
pub(super) fn is_elevation(role: &str, grantor: &str, catalog: &Catalog) -> bool {
    const GRANTORS: u32 = 160_000;
    role == RDS_SUPERUSER && (catalog.version < GRANTORS || grantor == catalog.admin.name)
}

/// The server's bound on sessions of one login. Without one, a limit that an operator set by hand
/// stays; one of ours goes.
pub(super) fn limit_step(
    wishes: &Wishes,
    login: &Login,
    found: Option<&Role>,
) -> Option<ServerStep> {
    let quotas = wishes.bounds.as_ref().map(|bounds| &bounds.quotas);
    let limit = quotas.and_then(|quotas| quotas.max_connections_per_login);
    let mark = found.and_then(Role::mark);
    let is_ours = mark.as_ref().is_some_and(|mark| mark.limited);
    let is_so = is_ours && found.is_some_and(|found| found.connection_limit == limit);
    let is_due = if limit.is_some() { !is_so } else { is_ours };
    is_due.then(|| ServerStep::LimitConnections {
        login: login.clone(),
        limit,
        mark: Mark {
            attempt: mark.and_then(|mark| mark.attempt),
            ..wishes.login_mark()
        },
    })
}

#[cfg(test)]
mod tests;
