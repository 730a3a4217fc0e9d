//! What becomes of roles and database in one pass: what the claim asks for is made, what differs is
//! put right or left. The credential is never left to differ, whatever the policy says.

use jiff::Timestamp;

use super::{CredentialStep, Refusal, credential, differences::differences, share, structure};
use crate::{
    catalog::{Catalog, Role},
    drift::{Drift, Why},
    names::{DatabaseName, Login},
    observed::{Observed, Recorded},
    step::{Attribute, ServerStep},
    wishes::{DriftPolicy, Wishes},
};

/// From here on, an admin gives and takes only attributes that it has itself, and alters only roles
/// that it administers (release notes of PostgreSQL 16).
const OWN_ATTRIBUTES: u32 = 160_000;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct House {
    /// What is done first, as one.
    pub steps: Vec<ServerStep>,
    /// What is put right then, each for itself: a server may refuse one and take the others.
    pub repairs: Vec<ServerStep>,
    /// Of a role claim: memberships that are too many, to be taken once others have their rights.
    pub leaving: Vec<ServerStep>,
    /// What stays, though it differs.
    pub left: Vec<(ServerStep, Why)>,
}

impl House {
    pub fn has_work(&self) -> bool {
        let Self {
            steps,
            repairs,
            leaving,
            left: _,
        } = self;
        [steps, repairs, leaving].iter().any(|all| !all.is_empty())
    }

    pub fn drift(&self) -> Drift {
        let mut drift = Drift::default();
        for (step, why) in &self.left {
            drift.add(*why, step.difference().unwrap_or_else(|| step.title()));
        }
        drift
    }

    fn sort(
        &mut self,
        step: ServerStep,
        why: Option<Why>,
        room: fn(&mut Self) -> &mut Vec<ServerStep>,
    ) {
        match why {
            Some(why) => self.left.push((step, why)),
            None => room(self).push(step),
        }
    }
}

/// Whether what differs is only looked at: everything that the spec asks for was there once.
pub fn only_observes(wishes: &Wishes, recorded: &Recorded) -> bool {
    wishes.drift == DriftPolicy::Observe && recorded.is_provisioned && recorded.is_carried_out
}

pub fn house(
    wishes: &Wishes,
    database: &DatabaseName,
    observed: &Observed,
    now: Timestamp,
) -> Result<House, Refusal> {
    let catalog = &observed.catalog;
    let asked = structure(wishes, database, observed)?;
    let is_named = !asked
        .iter()
        .any(|step| matches!(step, ServerStep::RenameOwner { .. }));
    let needs = Needs::of(wishes, observed, &asked, now);
    let only_observes = only_observes(wishes, &observed.recorded);
    let policy = |step: &ServerStep| {
        let is_left = only_observes && !needs.step(step, catalog);
        is_left.then_some(Why::Policy)
    };
    let mut house = House::default();
    for step in asked {
        let is_too_much = matches!(step, ServerStep::RevokeReplication { .. });
        let is_hopeless = is_too_much && !may_repair(&step, catalog);
        let why = policy(&step).or(is_hopeless.then_some(Why::Admin));
        house.sort(step, why, |house| &mut house.steps);
    }
    // Under its new name a role is compared at the next look.
    let differing = if is_named {
        differences(wishes, database, observed)
    } else {
        Vec::new()
    };
    // No spec asks for these anew: who wishes to see them sees them from the first time on.
    let is_left = wishes.drift == DriftPolicy::Observe && observed.recorded.is_provisioned;
    let is_older = is_older(wishes, catalog);
    for step in differing {
        let is_free = needs.difference(&step);
        let why = if is_left && !is_free {
            Some(Why::Policy)
        } else if is_older && !is_free && !is_of_database(&step) {
            Some(Why::Older)
        } else {
            (!may_repair(&step, catalog)).then_some(Why::Admin)
        };
        house.sort(step, why, |house| &mut house.repairs);
    }
    if let Some(share) = &wishes.share {
        let grants = share::grants(wishes, share, observed)?;
        for step in share::leaving(wishes, catalog, &grants) {
            let is_hopeless = !may_repair(&step, catalog);
            let why = policy(&step).or(is_hopeless.then_some(Why::Admin));
            house.sort(step, why, |house| &mut house.leaving);
        }
    }
    Ok(house)
}

fn is_of_database(step: &ServerStep) -> bool {
    matches!(
        step,
        ServerStep::ReturnDatabase { .. } | ServerStep::CloseDatabase { .. }
    )
}

/// Whether the owner role was there before the claim, or before this controller.
fn is_older(wishes: &Wishes, catalog: &Catalog) -> bool {
    let mark = catalog.roles.get(wishes.role.as_str()).and_then(Role::mark);
    mark.is_some_and(|mark| mark.adopted || mark.found)
}

/// The logins whose power to log in is left to nobody's hands.
struct Needs {
    role: String,
    published: Option<Login>,
    /// The one that this pass is about to publish.
    next: Option<Login>,
    /// Those that this pass makes, where they are missing.
    made: Vec<Login>,
}

impl Needs {
    fn of(wishes: &Wishes, observed: &Observed, asked: &[ServerStep], now: Timestamp) -> Self {
        let next = match credential(wishes, observed, now) {
            CredentialStep::Replace { idle, .. } => Some(idle.login().clone()),
            CredentialStep::Keep
            | CredentialStep::Restore { .. }
            | CredentialStep::Defer { .. } => None,
        };
        let made = asked.iter().filter_map(|step| match step {
            ServerStep::CreateLogin { login, .. } | ServerStep::CreateCopy { login, .. } => {
                Some(login.clone())
            }
            _ => None,
        });
        Self {
            role: wishes.role.to_string(),
            published: observed.login.clone(),
            next,
            made: made.collect(),
        }
    }

    fn has(&self, login: &str) -> bool {
        let mut all = self.published.iter().chain(&self.next);
        all.any(|it| it.as_str() == login)
    }

    /// Whether a step is taken also where the server is only looked at: without it the published
    /// login, or the next one, could not log in; or it is the controller's own note.
    fn step(&self, step: &ServerStep, catalog: &Catalog) -> bool {
        let is_made = |login: &Login| self.has(login.as_str()) && self.made.contains(login);
        // Nobody enters a database by a role without any membership.
        let is_alone = || {
            let role = catalog.roles.get(&self.role);
            role.is_none_or(|role| role.member_of.is_empty())
        };
        match step {
            ServerStep::CreateLogin { login, .. }
            | ServerStep::CreateCopy { login, .. }
            | ServerStep::JoinOwner { login, .. } => self.has(login.as_str()),
            // Before it is published, a login is seen to run as the owner role.
            ServerStep::AssumeOwner { login, .. } => {
                self.next.as_ref() == Some(login) || is_made(login)
            }
            ServerStep::SearchPath { login, .. }
            | ServerStep::GrantRoles { login, .. }
            | ServerStep::AllowReplication { login, .. } => is_made(login),
            ServerStep::CreateSchemaRole { .. } | ServerStep::JoinSchemaRole { .. } => is_alone(),
            ServerStep::RevokeRoles { .. }
            | ServerStep::RevokeReplication { .. }
            | ServerStep::LeaveRole { .. } => false,
            _ => true,
        }
    }

    /// The same for what only a hand can have changed.
    fn difference(&self, step: &ServerStep) -> bool {
        match step {
            ServerStep::Alter {
                role,
                attribute: Attribute::Inherit | Attribute::NoExpiry,
            } => self.has(role),
            _ => false,
        }
    }
}

/// Whether the admin may do it, as far as the catalog tells.
fn may_repair(step: &ServerStep, catalog: &Catalog) -> bool {
    if catalog.admin.is_superuser {
        return true;
    }
    match step {
        ServerStep::Alter { role, attribute } => may_alter(role, *attribute, catalog),
        ServerStep::RevokeReplication { login, through_rds } => {
            *through_rds || may_alter(login.as_str(), Attribute::NoReplication, catalog)
        }
        ServerStep::LeaveRole {
            member,
            role,
            grantor,
        } => {
            let mut all = catalog.memberships.iter();
            let found = all.find(|it| {
                it.member == *member && it.role == *role && Some(&it.grantor) == grantor.as_ref()
            });
            found.is_none_or(|it| it.admin_may_revoke)
        }
        // Closing is the owner role's, which has the database by then, or has it not.
        ServerStep::ReturnDatabase { role, .. } | ServerStep::CloseDatabase { role, .. } => {
            let database = catalog.database.as_ref();
            database.is_some_and(|found| found.admin_owns || found.owner == role.as_str())
        }
        _ => true,
    }
}

fn may_alter(name: &str, attribute: Attribute, catalog: &Catalog) -> bool {
    let Some(role) = catalog.roles.get(name) else {
        return false;
    };
    let (admin, knows_own) = (&catalog.admin, catalog.version >= OWN_ATTRIBUTES);
    if role.is_superuser || role.is_out_of_reach || !admin.can_create_roles {
        return false;
    }
    // Before 16 a role that may replicate is a superuser's to alter, in whatever.
    if role.has_replication && !knows_own {
        return false;
    }
    match attribute {
        Attribute::NoSuperuser => false,
        Attribute::NoReplication => admin.has_replication,
        Attribute::NoBypassRls => knows_own && admin.bypasses_row_security,
        Attribute::NoCreateDb => !knows_own || admin.can_create_databases,
        Attribute::NoLogin | Attribute::NoCreateRole | Attribute::Inherit | Attribute::NoExpiry => {
            true
        }
    }
}

#[cfg(test)]
mod tests;
