//! Logins and databases on MongoDB, where the logins have their roles themselves and a database
//! comes into being when it is written to: what is missing, and what must not be touched.
//! A reservation of a database's name is what a mark on it is elsewhere.

use std::collections::BTreeSet;

use super::{Refusal, structure::check_role};
use crate::{
    catalog::{Catalog, Database, DatabaseRole, Role},
    dsn::LOGINS_DATABASE,
    mark::Mark,
    names::{DatabaseName, Login, LoginPair},
    observed::Observed,
    step::ServerStep,
    wishes::{Mode, Wishes},
};

/// Databases in which no login of a claim has any business.
const SYSTEM_DATABASES: [&str; 4] = ["admin", "config", "local", LOGINS_DATABASE];

/// What no database may have in its name on any system (manual, "Naming Restrictions").
const REFUSED: &str = "/\\. \"$*<>:|?";

/// The steps that make the logins what the claim wishes: exactly its roles, and its mark.
pub(super) fn structure(
    wishes: &Wishes,
    database: &DatabaseName,
    observed: &Observed,
) -> Result<Vec<ServerStep>, Refusal> {
    let catalog = &observed.catalog;
    let databases = wishes.access.databases(database);
    let roles = wishes.access.database_roles(database);
    check_names(&databases, &roles)?;
    let mut steps = Vec::new();
    if wishes.mode == Mode::Create {
        for database in &databases {
            steps.extend(reservation(wishes, database, catalog)?);
        }
    }
    for login in wishes.logins().both() {
        steps.extend(login_steps(wishes, login, &roles, catalog)?);
    }
    Ok(steps)
}

fn check_names(databases: &[DatabaseName], roles: &BTreeSet<DatabaseRole>) -> Result<(), Refusal> {
    for database in databases {
        let name = database.to_string();
        // The server's own comparison knows no case.
        let lower = name.to_lowercase();
        if SYSTEM_DATABASES.contains(&lower.as_str()) {
            return Err(Refusal::SystemDatabase { database: name });
        }
        if name.contains(|c| REFUSED.contains(c)) {
            return Err(Refusal::DatabaseCharacters { name });
        }
    }
    // A role elsewhere would be somebody else's data, or the server itself.
    let is_ours = |role: &&DatabaseRole| {
        databases
            .iter()
            .any(|database| database.as_str() == role.database)
    };
    match roles.iter().find(|role| !is_ours(role)) {
        Some(role) => Err(Refusal::RoleElsewhere {
            database: role.database.clone(),
        }),
        None => Ok(()),
    }
}

/// Reserves a name that is free. A database that is there without a reservation is the claim's
/// only if its logins are, who may have written to it before the reservation was lost.
fn reservation(
    wishes: &Wishes,
    database: &DatabaseName,
    catalog: &Catalog,
) -> Result<Option<ServerStep>, Refusal> {
    let mine = wishes.claim.mark();
    let own = || ServerStep::OwnDatabase {
        database: database.clone(),
        role: wishes.role.clone(),
        mark: mine.clone(),
    };
    let may_use = |login: &Login| {
        let role = catalog.roles.get(login.as_str());
        role.is_some_and(|role| is_of(role, &mine) && reaches(role, database))
    };
    let Some(found) = catalog.databases.get(database) else {
        return Ok(Some(own()));
    };
    match found.mark() {
        Some(mark) if mark == mine => Ok(None),
        Some(mark) if mark.same_claim(&mine) => Ok(Some(own())),
        Some(mark) => Err(Refusal::ForeignDatabase {
            database: database.to_string(),
            claim: mark.claim,
        }),
        None if wishes.logins().both().into_iter().any(may_use) => Ok(Some(own())),
        None => Err(Refusal::UnmarkedDatabase {
            database: database.to_string(),
        }),
    }
}

fn is_of(role: &Role, mine: &Mark) -> bool {
    role.mark().is_some_and(|mark| mark.same_claim(mine))
}

fn reaches(role: &Role, database: &DatabaseName) -> bool {
    let mut granted = role.member_of.iter();
    granted.any(|text| {
        DatabaseRole::parse(text).is_some_and(|role| role.database == database.as_str())
    })
}

fn login_steps(
    wishes: &Wishes,
    login: &Login,
    roles: &BTreeSet<DatabaseRole>,
    catalog: &Catalog,
) -> Result<Vec<ServerStep>, Refusal> {
    let mine = wishes.claim.mark();
    let login = login.clone();
    let Some(found) = catalog.roles.get(login.as_str()) else {
        let create = ServerStep::CreateLogin {
            login: login.clone(),
            role: wishes.role.clone(),
            mark: mine,
        };
        return Ok([create].into_iter().chain(granting(login, roles)).collect());
    };
    // On an existing server the claim's word (`useExistingSource`) makes its namesakes its own.
    check_role(login.as_str(), found, &mine, wishes.mode == Mode::Adopt)?;
    let mut steps = Vec::new();
    let mark = found.mark();
    let is_exact = |mark: &Mark| mark.uid == mine.uid && mark.claim == mine.claim;
    if !mark.as_ref().is_some_and(is_exact) {
        // An attempt of the claim's earlier life may still be about to be published.
        let attempt = mark.and_then(|mark| mark.attempt);
        steps.push(ServerStep::MarkLogin {
            login: login.clone(),
            mark: Mark { attempt, ..mine },
        });
    }
    let granted: BTreeSet<_> = found
        .member_of
        .iter()
        .filter_map(|text| DatabaseRole::parse(text))
        .collect();
    let missing = roles.difference(&granted).cloned().collect();
    let surplus: Vec<_> = granted.difference(roles).cloned().collect();
    steps.extend(granting(login.clone(), &missing));
    if !surplus.is_empty() {
        steps.push(ServerStep::RevokeRoles {
            login,
            roles: surplus,
        });
    }
    Ok(steps)
}

fn granting(login: Login, roles: &BTreeSet<DatabaseRole>) -> Option<ServerStep> {
    let roles: Vec<_> = roles.iter().cloned().collect();
    (!roles.is_empty()).then_some(ServerStep::GrantRoles { login, roles })
}

/// What to remove: the logins first, or an application would bring a dropped database back by
/// writing to it. Only what carries this claim's UID, as on every engine.
pub(super) fn farewell(
    wishes: &Wishes,
    database: &DatabaseName,
    catalog: &Catalog,
) -> Vec<ServerStep> {
    let uid = wishes.claim.mark().uid;
    let is_mine = |mark: Option<Mark>| mark.is_some_and(|mark| mark.uid == uid);
    let mut steps = Vec::new();
    for pair in std::iter::once(wishes.logins()).chain(wishes.former_logins()) {
        let LoginPair { a, b } = pair;
        for login in [a, b] {
            if is_mine(catalog.roles.get(login.as_str()).and_then(Role::mark)) {
                steps.push(ServerStep::DropLogin {
                    login,
                    role: wishes.role.clone(),
                });
            }
        }
    }
    if wishes.mode == Mode::Create {
        let databases = wishes.access.databases(database);
        let is_ours =
            |name: &DatabaseName| is_mine(catalog.databases.get(name).and_then(Database::mark));
        let ours = databases.into_iter().filter(is_ours);
        steps.extend(ours.map(|database| ServerStep::DropDatabase { database }));
    }
    steps
}

#[cfg(test)]
mod tests;
