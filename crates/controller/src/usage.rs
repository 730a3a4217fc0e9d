//! What claims and role claims have on servers, by what their status says.

use std::collections::{HashMap, HashSet};

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim, server::ServerUsage};
use engine::wishes::{ClaimId, Wishes};
use kube::runtime::reflector::ObjectRef;

use crate::context::Context;

/// Logins of whoever has any: they take turns.
pub(crate) const LOGINS_EACH: i64 = 2;

/// The server that the claim's status names.
fn server_of(claim: &DatabaseClaim) -> Option<&str> {
    claim.status.as_ref()?.server.as_ref()?.name.as_deref()
}

/// Whether the claim has its database on the server that it is to have it on, where that counts.
pub(crate) fn has_place(claim: &DatabaseClaim, wishes: &Wishes) -> bool {
    let server = wishes.bounds.as_ref().map(|bounds| bounds.server.as_str());
    server.is_none() || server_of(claim) == server
}

/// Shows who has something on which server; `None` while not all are known.
fn see_all(context: &Context, mut see: impl FnMut(&str, &dyn Tenant)) -> Option<()> {
    let (claims, role_claims) = (context.whole_claims()?, context.whole_role_claims()?);
    for claim in claims.iter().flat_map(|claims| claims.state()) {
        if let Some(server) = server_of(&claim) {
            see(server, &*claim);
        }
    }
    for role_claim in role_claims.iter().flat_map(|all| all.state()) {
        let source = &role_claim.spec.source_database_claim;
        let source = ObjectRef::new(&source.name).within(&source.namespace);
        let source = role_claim.has_logins().then(|| context.claim(&source));
        if let Some(server) = source.flatten().as_deref().and_then(server_of) {
            see(server, &*role_claim);
        }
    }
    Some(())
}

/// Who has logins on a server.
trait Tenant {
    fn id(&self) -> Option<ClaimId>;
    fn databases(&self) -> i64;
}

impl Tenant for DatabaseClaim {
    fn id(&self) -> Option<ClaimId> {
        ClaimId::of(self).ok()
    }

    fn databases(&self) -> i64 {
        1
    }
}

impl Tenant for DbRoleClaim {
    fn id(&self) -> Option<ClaimId> {
        ClaimId::of_role_claim(self).ok()
    }

    fn databases(&self) -> i64 {
        0
    }
}

/// Who has something on that server.
pub(crate) fn tenants_of(context: &Context, server: &str) -> Option<HashSet<ClaimId>> {
    let mut found = HashSet::new();
    see_all(context, |at, tenant| {
        found.extend((at == server).then(|| tenant.id()).flatten());
    })?;
    Some(found)
}

/// What is used of each server that anybody uses.
pub(crate) fn of_servers(context: &Context) -> Option<HashMap<String, ServerUsage>> {
    let mut all: HashMap<String, ServerUsage> = HashMap::new();
    see_all(context, |server, tenant| {
        if !all.contains_key(server) {
            all.insert(server.to_owned(), ServerUsage::default());
        }
        if let Some(usage) = all.get_mut(server) {
            usage.databases += tenant.databases();
            usage.logins += LOGINS_EACH;
        }
    })?;
    Some(all)
}
