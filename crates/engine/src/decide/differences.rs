//! What somebody changed by hand of roles and database that carry the claim's mark: attributes,
//! memberships, the database's owner, and what PUBLIC may do there. Each difference is the step that
//! puts it right. PostgreSQL only: on MongoDB a login has nothing beside its roles.

use super::{
    powers::{RDS_REPLICATION, is_elevation, no_elevation},
    structure::is_strayed,
};
use crate::{
    address::Engine,
    catalog::{Catalog, Membership, Role},
    names::DatabaseName,
    observed::Observed,
    step::{Attribute, ServerStep},
    wishes::{Elevation, Mode, Wishes},
};

/// A role that owns or carries rights: nobody is it, and it is no administrator.
const OF_OWNER: [Attribute; 6] = [
    Attribute::NoLogin,
    Attribute::NoSuperuser,
    Attribute::NoCreateDb,
    Attribute::NoCreateRole,
    Attribute::NoBypassRls,
    Attribute::NoReplication,
];

/// Whether a login may log in is the credential's, and the right to replicate its claim's.
const OF_LOGIN: [Attribute; 6] = [
    Attribute::NoSuperuser,
    Attribute::NoCreateDb,
    Attribute::NoCreateRole,
    Attribute::NoBypassRls,
    Attribute::Inherit,
    Attribute::NoExpiry,
];

/// Whether the power of a cloud's superuser is what differs, which is given and taken elsewhere. Who
/// has it makes roles, and is a member of these.
fn is_of_elevation(wishes: &Wishes, catalog: &Catalog, step: &ServerStep) -> bool {
    let is_granted = match wishes.elevation {
        Elevation::NotOurs => return false,
        Elevation::Granted => true,
        Elevation::Denied => false,
    };
    if no_elevation(catalog).is_some() {
        return false;
    }
    match step {
        ServerStep::Alter { attribute, .. } => *attribute == Attribute::NoCreateRole,
        ServerStep::LeaveRole {
            member,
            role,
            grantor,
        } => {
            let grantor = grantor.as_deref().unwrap_or_default();
            is_elevation(role, grantor, catalog) || is_granted && member == wishes.role.as_str()
        }
        _ => false,
    }
}

pub(super) fn differences(
    wishes: &Wishes,
    database: &DatabaseName,
    observed: &Observed,
) -> Vec<ServerStep> {
    // An admin's powers are its operator's to give.
    if wishes.engine == Engine::Mongo || wishes.mode == Mode::Administer {
        return Vec::new();
    }
    let catalog = &observed.catalog;
    let owner = wishes.role.as_str();
    let mut of_owner = Vec::new();
    if is_marked(wishes, owner, catalog) {
        of_owner.extend(attributes(owner, &OF_OWNER, catalog));
        of_owner.extend(foreign_members(wishes, catalog));
        // Of what a role claim's role is a member, its map says.
        if wishes.share.is_none() {
            of_owner.extend(memberships(owner, catalog, |_| true));
        }
    }
    of_owner.retain(|step| !is_of_elevation(wishes, catalog, step));
    let mut all = of_owner;
    for login in wishes.logins().both() {
        let name = login.as_str();
        if !is_marked(wishes, name, catalog) {
            continue;
        }
        all.extend(attributes(name, &OF_LOGIN, catalog));
        if wishes.share.is_none() {
            all.extend(memberships(name, catalog, |role| {
                role != owner && role != RDS_REPLICATION
            }));
        }
    }
    if let Some(share) = &wishes.share {
        for role in share.own_roles(catalog) {
            all.extend(attributes(role.as_str(), &OF_OWNER, catalog));
        }
    }
    all.extend(of_database(wishes, database, observed));
    all
}

fn is_marked(wishes: &Wishes, name: &str, catalog: &Catalog) -> bool {
    let mine = wishes.claim.mark();
    let mark = catalog.roles.get(name).and_then(Role::mark);
    mark.is_some_and(|mark| mark.same_claim(&mine))
}

fn attributes(name: &str, rules: &[Attribute], catalog: &Catalog) -> Vec<ServerStep> {
    let Some(role) = catalog.roles.get(name) else {
        return Vec::new();
    };
    let amiss = rules.iter().filter(|attribute| is_amiss(**attribute, role));
    amiss
        .map(|attribute| ServerStep::Alter {
            role: name.to_owned(),
            attribute: *attribute,
        })
        .collect()
}

fn is_amiss(attribute: Attribute, role: &Role) -> bool {
    match attribute {
        Attribute::NoLogin => role.can_login,
        Attribute::NoSuperuser => role.is_superuser,
        Attribute::NoCreateDb => role.can_create_databases,
        Attribute::NoCreateRole => role.can_create_roles,
        Attribute::NoBypassRls => role.bypasses_row_security,
        Attribute::NoReplication => role.has_replication,
        Attribute::Inherit => role.is_noinherit,
        Attribute::NoExpiry => role.expires,
    }
}

/// Who may act as the owner role, and is none of the claim's logins.
fn foreign_members(wishes: &Wishes, catalog: &Catalog) -> Vec<ServerStep> {
    let pairs = std::iter::once(wishes.logins()).chain(wishes.former_logins());
    let pairs: Vec<_> = pairs.collect();
    let is_login = |name: &str| pairs.iter().any(|pair| pair.contains(name));
    let all = catalog.memberships.iter();
    all.filter(|it| it.role == wishes.role.as_str() && !is_login(&it.member))
        .map(leaving)
        .collect()
}

/// What a role is a member of and `is_too_much`.
fn memberships(
    name: &str,
    catalog: &Catalog,
    is_too_much: impl Fn(&str) -> bool,
) -> Vec<ServerStep> {
    let all = catalog.memberships.iter();
    all.filter(|it| it.member == name && is_too_much(&it.role))
        .map(leaving)
        .collect()
}

fn leaving(membership: &Membership) -> ServerStep {
    ServerStep::LeaveRole {
        member: membership.member.clone(),
        role: membership.role.clone(),
        grantor: Some(membership.grantor.clone()),
    }
}

fn of_database(wishes: &Wishes, database: &DatabaseName, observed: &Observed) -> Vec<ServerStep> {
    let mut all = Vec::new();
    let Some(found) = &observed.catalog.database else {
        return all;
    };
    if wishes.mode != Mode::Create || found.mark() != Some(wishes.claim.mark()) {
        return all;
    }
    if is_strayed(wishes, database, observed) {
        all.push(ServerStep::ReturnDatabase {
            database: database.clone(),
            role: wishes.role.clone(),
            from: found.owner.clone(),
        });
    }
    if !found.public_rights.is_empty() {
        all.push(ServerStep::CloseDatabase {
            database: database.clone(),
            role: wishes.role.clone(),
            rights: found.public_rights.clone(),
        });
    }
    all
}
