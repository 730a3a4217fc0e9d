//! A role claim's part of another claim's database: its own role and logins, and the roles of
//! schemas that give them their rights.

use super::{
    Refusal,
    structure::{check_role, login_steps, weak},
};
use crate::{
    catalog::{Catalog, Role},
    mark::Mark,
    names::{DatabaseName, Login, LoginPair, SchemaName, SchemaRole},
    observed::{Observed, Proof},
    share::{SchemaGrant, Share, Wanted},
    step::ServerStep,
    wishes::Wishes,
};

/// What of a role claim was on the server before this pass.
fn heirs(wishes: &Wishes) -> Vec<String> {
    let logins = wishes.logins();
    let names = logins.both().map(ToString::to_string);
    names.into_iter().chain([wishes.role.to_string()]).collect()
}

/// Whether the logins are the original's, who gave them their rights directly and no role of
/// their own: the Secret logs in, and status agrees on the login.
pub fn is_take_over(wishes: &Wishes, observed: &Observed) -> bool {
    let Some(login) = &observed.login else {
        return false;
    };
    let mine = wishes.claim.mark();
    let is_mine = |role: &Role| role.mark().is_some_and(|mark| mark.same_claim(&mine));
    let owner = observed.catalog.roles.get(wishes.role.as_str());
    matches!(observed.published, Proof::Works | Proof::LogsIn)
        && observed.recorded.current_login.as_deref() == Some(login.as_str())
        && wishes.logins().contains(login.as_str())
        && owner.is_none_or(is_mine)
}

/// The roles that carry what the map asks for. A role that the original made is taken over with
/// its logins.
pub fn grants(
    wishes: &Wishes,
    share: &Share,
    observed: &Observed,
) -> Result<Vec<SchemaGrant>, Refusal> {
    let heirs = if is_take_over(wishes, observed) {
        heirs(wishes)
    } else {
        Vec::new()
    };
    share.grants(&observed.catalog, &heirs)
}

pub(super) fn structure(
    wishes: &Wishes,
    share: &Share,
    observed: &Observed,
) -> Result<Vec<ServerStep>, Refusal> {
    let catalog = &observed.catalog;
    let is_take_over = is_take_over(wishes, observed);
    let owner = catalog.roles.get(wishes.role.as_str());
    let mut steps = Vec::new();
    steps.extend(owner_step(wishes, owner, catalog)?);
    for login in wishes.logins().both() {
        steps.extend(login_steps(wishes, login, catalog, is_take_over)?);
        steps.extend(search_path(share, login, catalog));
    }
    let grants = grants(wishes, share, observed)?;
    for SchemaGrant { role, .. } in &grants {
        steps.extend(schema_role_step(share, role, catalog));
        let is_member = owner.is_some_and(|owner| is_member(owner, role.as_str()));
        if !is_member {
            steps.push(ServerStep::JoinSchemaRole {
                member: wishes.role.clone(),
                role: role.clone(),
            });
        }
    }
    Ok(steps)
}

fn owner_step(
    wishes: &Wishes,
    owner: Option<&Role>,
    catalog: &Catalog,
) -> Result<Option<ServerStep>, Refusal> {
    let (role, mark) = (wishes.role.clone(), wishes.claim.mark());
    let Some(owner) = owner else {
        if !catalog.admin.can_create_roles && !catalog.admin.is_superuser {
            return Err(weak(catalog, "roles", "CREATEROLE"));
        }
        return Ok(Some(ServerStep::CreateOwner { role, mark }));
    };
    check_role(role.as_str(), owner, &mark, false)?;
    let is_marked = owner.mark().as_ref() == Some(&mark);
    Ok((!is_marked).then_some(ServerStep::MarkOwner { role, mark }))
}

/// Where names without a schema are looked for.
fn search_path(share: &Share, login: &Login, catalog: &Catalog) -> Option<ServerStep> {
    let found = catalog.roles.get(login.as_str());
    let path = share.schemas.keys().map(SchemaName::as_str);
    let is_set = found.is_some_and(|found| found.search_path.iter().map(String::as_str).eq(path));
    (!is_set).then(|| ServerStep::SearchPath {
        login: login.clone(),
        schemas: share.schemas.keys().cloned().collect(),
    })
}

/// Memberships that are too many. To be taken once the wished ones have their rights: without any
/// of them nobody may connect. A login has its rights through the role claim's role alone, also
/// where it leaves that role.
pub(super) fn leaving(
    wishes: &Wishes,
    catalog: &Catalog,
    grants: &[SchemaGrant],
) -> Vec<ServerStep> {
    let role = wishes.role.as_str();
    let leave = |member: &str, is_wished: &dyn Fn(&str) -> bool| -> Vec<_> {
        let found = catalog.roles.get(member).into_iter();
        let too_many = found.flat_map(|found| &found.member_of);
        let too_many = too_many.filter(|name| !is_wished(name));
        let leave = |name: &String| {
            let all = catalog.memberships.iter();
            let granted = all.filter(|it| it.member == member && it.role == *name);
            let granted: Vec<_> = granted.map(|it| Some(it.grantor.clone())).collect();
            let granted = if granted.is_empty() {
                vec![None]
            } else {
                granted
            };
            let (member, role) = (member.to_owned(), name.clone());
            granted
                .into_iter()
                .map(move |grantor| ServerStep::LeaveRole {
                    member: member.clone(),
                    role: role.clone(),
                    grantor,
                })
        };
        too_many.flat_map(leave).collect()
    };
    let is_granted = |name: &str| grants.iter().any(|grant| grant.role.as_str() == name);
    let mut steps = leave(role, &is_granted);
    for login in wishes.logins().both() {
        steps.extend(leave(login.as_str(), &|name| name == role));
    }
    steps
}

fn schema_role_step(share: &Share, role: &SchemaRole, catalog: &Catalog) -> Option<ServerStep> {
    let (role, mark) = (role.clone(), share.mark());
    match catalog.roles.get(role.as_str()) {
        None => Some(ServerStep::CreateSchemaRole { role, mark }),
        Some(found) if found.mark().as_ref() == Some(&mark) => None,
        Some(_) => Some(ServerStep::MarkSchemaRole { role, mark }),
    }
}

fn is_member(found: &Role, role: &str) -> bool {
    found.member_of.iter().any(|name| name == role)
}

/// The end of roles that nobody has any more; their rights are gone by then.
pub fn dropping(roles: &[SchemaRole]) -> Vec<ServerStep> {
    let roles = roles.iter().cloned();
    roles
        .map(|role| ServerStep::DropSchemaRole { role })
        .collect()
}

/// What is removed, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parting {
    /// In the shared database: what the role owns and may do.
    pub inside: Vec<ServerStep>,
    /// There too: what nobody may do any more.
    pub abandoned: Option<Wanted>,
    /// On the server.
    pub home: Vec<ServerStep>,
}

/// The end of a role claim: what it made goes to the owner role of the database's claim. Only what
/// carries the role claim's own mark goes. On MongoDB only logins are left.
pub fn parting(wishes: &Wishes, database: &DatabaseName, catalog: &Catalog) -> Parting {
    let Some(share) = &wishes.share else {
        let home = super::farewell(wishes, database, catalog);
        return Parting {
            home,
            ..Parting::default()
        };
    };
    let mine = wishes.claim.mark();
    let is_mine = |name: &str| {
        let mark = catalog.roles.get(name).and_then(Role::mark);
        mark.is_some_and(|Mark { uid, .. }| uid == mine.uid)
    };
    let mut parting = Parting::default();
    let role = &wishes.role;
    if is_mine(role.as_str()) {
        parting.inside.push(ServerStep::HandOver {
            role: role.clone(),
            to: share.owner.to_string(),
        });
    }
    let LoginPair { a, b } = wishes.logins();
    for login in [a, b] {
        if is_mine(login.as_str()) {
            parting.home.push(ServerStep::DropLogin {
                login,
                role: role.clone(),
            });
        }
    }
    if is_mine(role.as_str()) {
        parting
            .home
            .push(ServerStep::DropOwner { role: role.clone() });
    }
    let abandoned = share.abandoned(catalog, role);
    parting.home.extend(dropping(&abandoned.cleared));
    parting.abandoned = Some(abandoned);
    parting
}
