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
    secret::Stored,
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
    let further = wishes.access.auth_databases(database).split_off(1);
    for login in wishes.logins().both() {
        steps.extend(login_steps(wishes, login, &roles, &further, catalog)?);
    }
    steps.extend(leaving(wishes, database, observed));
    Ok(steps)
}

/// Takes the logins out of databases that the claim no longer lists; not out of the one that the
/// published connection strings still name.
fn leaving(wishes: &Wishes, database: &DatabaseName, observed: &Observed) -> Vec<ServerStep> {
    let secret = observed.secret.as_ref();
    let published = secret.and_then(Stored::auth_source);
    let mut left = wishes.access.left_databases(database);
    left.retain(|left| Some(left.as_str()) != published);
    let mine = wishes.claim.mark();
    let all = pairs(wishes).flat_map(|LoginPair { a, b }| [a, b]);
    all.flat_map(|login| {
        let copies = observed
            .catalog
            .copies_of(&login, |mark| mark.same_claim(&mine));
        let copies = copies.into_iter().filter(|copy| left.contains(copy));
        copies
            .map(move |database| drop_copy(&login, database))
            .collect::<Vec<_>>()
    })
    .collect()
}

fn drop_copy(login: &Login, database: String) -> ServerStep {
    let login = login.clone();
    ServerStep::DropCopy { login, database }
}

/// The claim's logins, those of earlier names too.
fn pairs(wishes: &Wishes) -> impl Iterator<Item = LoginPair> {
    std::iter::once(wishes.logins()).chain(wishes.former_logins())
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

/// The login where the connection strings name it, and its copies in `further` databases.
fn login_steps(
    wishes: &Wishes,
    login: &Login,
    roles: &BTreeSet<DatabaseRole>,
    further: &[String],
    catalog: &Catalog,
) -> Result<Vec<ServerStep>, Refusal> {
    let mine = wishes.claim.mark();
    let main = catalog.roles.get(login.as_str());
    let copies: Vec<_> = further
        .iter()
        .map(|database| (database, catalog.copy(database, login)))
        .collect();
    let mut steps = Vec::new();
    if main.is_none() {
        steps.push(ServerStep::CreateLogin {
            login: login.clone(),
            role: wishes.role.clone(),
            mark: mine.clone(),
        });
    }
    let missing = copies.iter().filter(|(_, copy)| copy.is_none());
    steps.extend(missing.map(|(database, _)| ServerStep::CreateCopy {
        login: login.clone(),
        database: (*database).clone(),
        mark: mine.clone(),
    }));
    // On an existing server the claim's word (`useExistingSource`) makes its namesakes its own.
    let may_take_over = wishes.mode == Mode::Adopt;
    if let Some(found) = main {
        check_role(login.as_str(), found, &mine, may_take_over)?;
    }
    for (database, copy) in &copies {
        if let Some(found) = copy {
            check_role(&format!("{database}.{login}"), found, &mine, may_take_over)?;
        }
    }
    let all = || std::iter::once(main).chain(copies.iter().map(|(_, copy)| *copy));
    let is_exact = |mark: &Mark| mark.uid == mine.uid && mark.claim == mine.claim;
    if all()
        .flatten()
        .any(|role| !role.mark().as_ref().is_some_and(is_exact))
    {
        // An attempt of the claim's earlier life may still be about to be published.
        let attempt = main.and_then(Role::mark).and_then(|mark| mark.attempt);
        steps.push(ServerStep::MarkLogin {
            login: login.clone(),
            mark: Mark { attempt, ..mine },
        });
    }
    let granted: Vec<_> = all()
        .map(|role| role.map(granted).unwrap_or_default())
        .collect();
    let missing = granted.iter().flat_map(|granted| roles.difference(granted));
    let surplus = granted.iter().flat_map(|granted| granted.difference(roles));
    let surplus: BTreeSet<_> = surplus.cloned().collect();
    steps.extend(granting(login.clone(), &missing.cloned().collect()));
    if !surplus.is_empty() {
        steps.push(ServerStep::RevokeRoles {
            login: login.clone(),
            roles: surplus.into_iter().collect(),
        });
    }
    Ok(steps)
}

fn granted(role: &Role) -> BTreeSet<DatabaseRole> {
    let all = role.member_of.iter();
    all.filter_map(|text| DatabaseRole::parse(text)).collect()
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
    for LoginPair { a, b } in pairs(wishes) {
        for login in [a, b] {
            let copies = catalog.copies_of(&login, |mark| mark.uid == uid);
            steps.extend(copies.into_iter().map(|copy| drop_copy(&login, copy)));
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
