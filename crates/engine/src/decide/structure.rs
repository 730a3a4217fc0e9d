//! Roles and database: what is missing, and what must not be touched.

use super::{Refusal, administer, mongo, powers, share};
use crate::{
    address::Engine,
    catalog::{Catalog, Database, Role},
    mark::Mark,
    names::{DatabaseName, Login},
    observed::{Observed, Proof},
    step::ServerStep,
    wishes::{Mode, Wishes},
};

/// The steps that make owner role, logins and database what the claim wishes.
pub fn structure(
    wishes: &Wishes,
    database: &DatabaseName,
    observed: &Observed,
) -> Result<Vec<ServerStep>, Refusal> {
    if wishes.mode == Mode::Administer {
        return administer::structure(wishes, observed);
    }
    if wishes.engine == Engine::Mongo {
        return mongo::structure(wishes, database, observed);
    }
    if let Some(share) = &wishes.share {
        return share::structure(wishes, share, observed);
    }
    let catalog = &observed.catalog;
    let may_take_over = wishes.mode == Mode::Adopt || is_take_over(wishes, database, observed);
    let is_renamed = renames(wishes, catalog)?;
    let mut steps = Vec::new();
    let mark = wishes.claim.mark();
    // A rename carries the mark along; the rest is decided as if it had happened already.
    let owner_name = match (&wishes.renamed_from, is_renamed) {
        (Some(former), true) => {
            steps.push(ServerStep::RenameOwner {
                from: former.clone(),
                to: wishes.role.clone(),
            });
            former.as_str()
        }
        _ => wishes.role.as_str(),
    };
    let owner = catalog.roles.get(owner_name);
    if let Some(role) = owner {
        check_role(owner_name, role, &mark, may_take_over)?;
    } else if !catalog.admin.can_create_roles && !catalog.admin.is_superuser {
        return Err(weak(catalog, "roles", "CREATEROLE"));
    }
    steps.extend(owner_and_database(
        wishes,
        database,
        observed,
        owner,
        may_take_over,
    )?);
    for login in wishes.logins().both() {
        steps.extend(login_steps(wishes, login, catalog, may_take_over)?);
    }
    steps.extend(powers::elevation_step(wishes, owner, catalog));
    Ok(steps)
}

/// Whether the owner role waits to be renamed; `false` where that was done already.
fn renames(wishes: &Wishes, catalog: &Catalog) -> Result<bool, Refusal> {
    let Some(former) = &wishes.renamed_from else {
        return Ok(false);
    };
    let exists = |name: &str| catalog.roles.contains_key(name);
    match (exists(former.as_str()), exists(wishes.role.as_str())) {
        (true, true) => Err(Refusal::BothRoles {
            former: former.to_string(),
            wanted: wishes.role.to_string(),
        }),
        (is_there, _) => Ok(is_there),
    }
}

/// The test for taking over what the original made (compatibility 8.8): nothing is marked yet, or
/// only by a pass of this claim that was cut short, its Secret logs in and names a member of the
/// owner role, and status agrees on login and database.
pub fn is_take_over(wishes: &Wishes, database: &DatabaseName, observed: &Observed) -> bool {
    let Some(login) = &observed.login else {
        return false;
    };
    let roles = &observed.catalog.roles;
    let recorded = &observed.recorded;
    let is_member = roles.get(login.as_str()).is_some_and(|role| {
        role.member_of
            .iter()
            .any(|name| name == wishes.role.as_str())
    });
    let mine = wishes.claim.mark();
    let is_no_others = roles
        .get(wishes.role.as_str())
        .is_some_and(|owner| owner.mark().is_none_or(|mark| mark.same_claim(&mine)));
    observed.published == Proof::Works
        && recorded.current_login.as_deref() == Some(login.as_str())
        && recorded.database.as_deref() == Some(database.as_str())
        && wishes.logins().contains(login.as_str())
        && is_member
        && is_no_others
}

pub(super) fn check_role(
    name: &str,
    role: &Role,
    mine: &Mark,
    may_take_over: bool,
) -> Result<(), Refusal> {
    let is_mine = role.mark().is_some_and(|mark| mark.same_claim(mine));
    // Of one that was made for the claim a hand made it later; that is a difference like others.
    if role.is_superuser && !is_mine {
        return Err(Refusal::SuperuserRole {
            role: name.to_owned(),
        });
    }
    match role.mark() {
        Some(mark) if mark.same_claim(mine) => Ok(()),
        Some(mark) => Err(Refusal::ForeignRole {
            role: name.to_owned(),
            claim: mark.claim,
        }),
        None if may_take_over => Ok(()),
        None => Err(Refusal::UnmarkedRole {
            role: name.to_owned(),
        }),
    }
}

pub(super) fn weak(catalog: &Catalog, what: &'static str, attribute: &'static str) -> Refusal {
    Refusal::WeakAdmin {
        admin: catalog.admin.name.clone(),
        what,
        attribute,
    }
}

/// The owner role, and in mode `Create` its database. The mark on the role says that a database is
/// being created before it is, so that after a crash a database without a mark is known as ours.
fn owner_and_database(
    wishes: &Wishes,
    database: &DatabaseName,
    observed: &Observed,
    owner: Option<&Role>,
    may_take_over: bool,
) -> Result<Vec<ServerStep>, Refusal> {
    let catalog = &observed.catalog;
    let mine = wishes.claim.mark();
    if wishes.mode == Mode::Adopt {
        // A role that was there before the claim is not the claim's to drop.
        let is_adopted = owner.is_some_and(|facts| facts.mark().is_none_or(|mark| mark.adopted));
        let mark = if is_adopted { mine.adopted() } else { mine };
        return Ok(write_mark(wishes, owner, mark).into_iter().collect());
    }
    if let Some(found) = &catalog.database {
        return existing_database(wishes, database, found, observed, owner, may_take_over);
    }
    if observed.recorded.database.is_some() {
        return Err(Refusal::DatabaseGone {
            database: database.to_string(),
        });
    }
    if !catalog.admin.can_create_databases && !catalog.admin.is_superuser {
        return Err(weak(catalog, "databases", "CREATEDB"));
    }
    let create = ServerStep::CreateDatabase {
        database: database.clone(),
    };
    Ok(write_mark(wishes, owner, mine.creating())
        .into_iter()
        .chain([create, own(wishes, database)])
        .collect())
}

fn write_mark(wishes: &Wishes, owner: Option<&Role>, mark: Mark) -> Option<ServerStep> {
    let role = wishes.role.clone();
    match owner {
        None => Some(ServerStep::CreateOwner { role, mark }),
        Some(facts) if facts.mark().as_ref() == Some(&mark) => None,
        Some(_) => Some(ServerStep::MarkOwner { role, mark }),
    }
}

fn own(wishes: &Wishes, database: &DatabaseName) -> ServerStep {
    ServerStep::OwnDatabase {
        database: database.clone(),
        role: wishes.role.clone(),
        mark: wishes.claim.mark(),
    }
}

fn existing_database(
    wishes: &Wishes,
    database: &DatabaseName,
    found: &Database,
    observed: &Observed,
    owner: Option<&Role>,
    may_take_over: bool,
) -> Result<Vec<ServerStep>, Refusal> {
    let (mine, admin) = (wishes.claim.mark(), &observed.catalog.admin);
    // What a role had when it was taken over, somebody may rely on.
    let is_found = owner.is_some_and(|facts| facts.mark().is_none_or(|mark| mark.found));
    let of_owner = if is_found {
        mine.clone().found()
    } else {
        mine.clone()
    };
    let marking = write_mark(wishes, owner, of_owner.clone()).into_iter();
    // The database's mark is written with the role's, so the role's own comes last.
    let noted = is_found.then(|| ServerStep::MarkOwner {
        role: wishes.role.clone(),
        mark: of_owner,
    });
    let owning = std::iter::once(own(wishes, database)).chain(noted);
    let is_owned_by_us = found.owner == admin.name || is_owner(wishes, &found.owner);
    let was_creating = owner.and_then(Role::mark).is_some_and(|mark| mark.creating);
    match found.mark() {
        Some(_) if is_strayed(wishes, database, observed) => Ok(marking.collect()),
        // Whoever owns a database may write any mark on it.
        Some(mark) if !mark.same_claim(&mine) || !is_owned_by_us => Err(Refusal::ForeignDatabase {
            database: database.to_string(),
            claim: mark.claim,
        }),
        Some(mark) if mark == mine && owner.is_some() && !was_creating => Ok(marking.collect()),
        Some(_) => Ok(marking.chain(owning).collect()),
        None if was_creating && found.owner == admin.name => Ok(owning.collect()),
        None if may_take_over && owner.is_some() => Ok(marking.chain(owning).collect()),
        None => Err(Refusal::UnmarkedDatabase {
            database: database.to_string(),
        }),
    }
}

/// Whether that is the owner role, by its present name or the one that it is renamed from.
fn is_owner(wishes: &Wishes, name: &str) -> bool {
    let names = [Some(&wishes.role), wishes.renamed_from.as_ref()];
    names
        .into_iter()
        .flatten()
        .any(|role| role.as_str() == name)
}

/// Whether the database that this claim has made, marked and recorded belongs to somebody else now.
/// Before it was recorded, such a database is one that somebody else made.
pub(super) fn is_strayed(wishes: &Wishes, database: &DatabaseName, observed: &Observed) -> bool {
    let (catalog, mine) = (&observed.catalog, wishes.claim.mark());
    let Some(found) = &catalog.database else {
        return false;
    };
    let is_made = observed.recorded.database.as_deref() == Some(database.as_str());
    is_made
        && observed.recorded.is_provisioned
        && found.mark() == Some(mine)
        && found.owner != catalog.admin.name
        && !is_owner(wishes, &found.owner)
}

pub(super) fn login_steps(
    wishes: &Wishes,
    login: &Login,
    catalog: &Catalog,
    may_take_over: bool,
) -> Result<Vec<ServerStep>, Refusal> {
    let mine = wishes.claim.mark();
    let (login, role) = (login.clone(), wishes.role.clone());
    let join = ServerStep::JoinOwner {
        login: login.clone(),
        role: role.clone(),
    };
    let assume = ServerStep::AssumeOwner {
        login: login.clone(),
        role: role.clone(),
    };
    let Some(found) = catalog.roles.get(login.as_str()) else {
        let create = ServerStep::CreateLogin {
            login: login.clone(),
            role,
            mark: mine,
        };
        let limit = powers::limit_step(wishes, &login, None);
        return Ok([create, join, assume].into_iter().chain(limit).collect());
    };
    check_role(login.as_str(), found, &mine, may_take_over)?;
    let mut steps = Vec::new();
    let mark = found.mark();
    if mark
        .as_ref()
        .is_none_or(|mark| mark.uid != mine.uid || mark.claim != mine.claim)
    {
        // An attempt of the claim's earlier life may still be about to be published.
        let limited = mark.as_ref().is_some_and(|mark| mark.limited);
        let attempt = mark.and_then(|mark| mark.attempt);
        steps.push(ServerStep::MarkLogin {
            login: login.clone(),
            mark: Mark {
                attempt,
                ..mine.limited(limited)
            },
        });
    }
    // A member of the former name is a member of the new one: the role is the same.
    if !found.member_of.iter().any(|name| is_owner(wishes, name)) {
        steps.push(join);
    }
    if found.session_role.as_deref() != Some(role.as_str()) {
        steps.push(assume);
    }
    steps.extend(powers::replication_step(wishes, &login, found, catalog));
    steps.extend(powers::limit_step(wishes, &login, Some(found)));
    Ok(steps)
}
