//! Whose logins a server has, by what the status of claims and role claims says.

use std::{collections::HashMap, sync::Arc};

use api::{
    claim::{DatabaseClaim, RotationStatus},
    role_claim::DbRoleClaim,
};
use engine::{
    dsn::LOGINS_DATABASE,
    names::{Login, LoginPair, RoleName},
    role_claim,
    tripwire::{Attempt, Holder},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::context::Context;

/// A claim of either kind.
#[derive(Clone)]
pub enum Claim {
    Claim(Arc<DatabaseClaim>),
    RoleClaim(Arc<DbRoleClaim>),
}

impl Claim {
    pub fn namespace(&self) -> String {
        let namespace = match self {
            Self::Claim(claim) => claim.namespace(),
            Self::RoleClaim(claim) => claim.namespace(),
        };
        namespace.unwrap_or_default()
    }

    pub fn uid(&self) -> String {
        let uid = match self {
            Self::Claim(claim) => claim.uid(),
            Self::RoleClaim(claim) => claim.uid(),
        };
        uid.unwrap_or_default()
    }
}

/// The logins of one server, by name.
pub(super) struct Holders(HashMap<Login, Arc<Holder<Claim>>>);

impl Holders {
    /// Those of the claims of this class that live on the server.
    pub(super) fn on(context: &Context, server: &str) -> Self {
        let class = context.settings.class.as_str();
        let lives_here = |claim: &DatabaseClaim| {
            let status = claim.status.as_ref();
            let recorded = status.and_then(|status| status.server.as_ref());
            recorded.is_some_and(|recorded| recorded.name.as_deref() == Some(server))
        };
        let mut all = Self(HashMap::new());
        let claims = context.claims.get().into_iter().flatten();
        let claims = claims.flat_map(|claims| claims.state_filter(lives_here));
        for claim in claims.filter(|claim| claim.class() == class) {
            all.add(of_claim(claim));
        }
        let role_claims = context.role_claims.get().into_iter().flatten();
        let has_logins = |claim: &DbRoleClaim| claim.has_logins() && claim.class() == class;
        for role_claim in role_claims.flat_map(|claims| claims.state_filter(has_logins)) {
            let source = &role_claim.spec.source_database_claim;
            let source = ObjectRef::new(&source.name).within(&source.namespace);
            let source = context.claim(&source);
            if let Some(source) = source.filter(|source| lives_here(source)) {
                all.add(of_role_claim(role_claim, &source));
            }
        }
        all
    }

    /// Whose login it was on.
    pub(super) fn of(&self, attempt: &Attempt) -> Option<&Holder<Claim>> {
        let holder = self.0.get(&attempt.login)?;
        holder.holds(attempt).then_some(holder)
    }

    fn add(&mut self, holder: Holder<Claim>) {
        let holder = Arc::new(holder);
        for login in &holder.logins {
            self.0.insert(login.clone(), Arc::clone(&holder));
        }
    }
}

fn of_claim(claim: Arc<DatabaseClaim>) -> Holder<Claim> {
    let status = claim.status.clone().unwrap_or_default();
    let server = status.server.unwrap_or_default();
    let roles = server.owner_role.into_iter();
    let roles = roles.chain(server.former_owner_roles);
    let roles = roles.filter_map(|role| RoleName::try_from(role).ok());
    Holder {
        claim: Claim::Claim(claim),
        logins: roles.flat_map(|role| logins(&role)).collect(),
        databases: databases(server.auth_databases),
        switched_at: status.rotation.as_ref().and_then(switched_at),
    }
}

fn of_role_claim(role_claim: Arc<DbRoleClaim>, source: &DatabaseClaim) -> Holder<Claim> {
    let status = source.status.clone().unwrap_or_default();
    let rotation = role_claim.status.clone().unwrap_or_default().rotation;
    let role = role_claim::role(&role_claim.name_any());
    Holder {
        claim: Claim::RoleClaim(role_claim),
        logins: role.iter().flat_map(logins).collect(),
        databases: databases(status.server.unwrap_or_default().auth_databases),
        switched_at: rotation.as_ref().and_then(switched_at),
    }
}

fn logins(role: &RoleName) -> [Login; 2] {
    let LoginPair { a, b } = LoginPair::of_role(role);
    [a, b]
}

/// Where logins are defined on MongoDB. Nobody but the controller makes any in its own database.
fn databases(published: Vec<String>) -> Vec<String> {
    let own = LOGINS_DATABASE.to_owned();
    std::iter::once(own).chain(published).collect()
}

fn switched_at(rotation: &RotationStatus) -> Option<Timestamp> {
    let revocation = rotation.revocation.as_ref();
    let revoked_at = revocation.and_then(|revocation| revocation.at);
    rotation.last_rotation_at.max(revoked_at)
}
