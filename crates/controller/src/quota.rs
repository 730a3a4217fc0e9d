//! Places that claims and role claims got on a server with a quota, from the decision until their
//! own status says it. The cache alone is late: claims made at one instant would all be counted as
//! none.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use api::server::Quotas;
use engine::wishes::{Bounds, ClaimId, ClaimKind, Wishes};

use crate::{
    context::Context,
    error::Error,
    usage::{self, LOGINS_EACH},
};

/// Takes a place for a claim or role claim that has none yet on its server.
pub(crate) fn reserve(context: &Context, wishes: &Wishes) -> Result<(), Error> {
    let Some(Bounds { server, quotas }) = &wishes.bounds else {
        return Ok(());
    };
    if !is_counted(quotas, wishes.claim.kind) {
        return Ok(());
    }
    if context.whole_claims().is_none() || context.whole_role_claims().is_none() {
        return Err(Error::Uncounted {
            server: server.clone(),
        });
    }
    let recorded = || usage::tenants_of(context, server).unwrap_or_default();
    let lives = |id: &ClaimId| context.lives(id);
    let (reservations, id) = (&context.reservations, &wishes.claim);
    let given = reservations.reserve(server, id, quotas, recorded, lives);
    given.map_err(|exceeded| Error::Quota {
        server: server.clone(),
        exceeded,
    })
}

/// Whether a quota counts what such a claim has.
fn is_counted(quotas: &Quotas, kind: ClaimKind) -> bool {
    let of_databases =
        quotas.max_databases.is_some() || quotas.max_databases_per_namespace.is_some();
    quotas.max_logins.is_some() || (kind == ClaimKind::Claim && of_databases)
}

/// Which quota is used up, and what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    #[error("{0} databases of claims, which is its quota")]
    All(i64),
    #[error("{0} databases of claims, which is its quota for one namespace")]
    OfNamespace(i64),
    #[error("as many logins as its quota of {0} allows; a claim and a role claim need two each")]
    Logins(i64),
}

/// The places that were given away: the server of each claim.
#[derive(Debug, Default)]
pub struct Reservations(Mutex<HashMap<ClaimId, String>>);

impl Reservations {
    /// Gives `id` a place on `server`, or says which bound forbids it. `recorded` tells the claims
    /// whose status names the server; `lives` tells claims that still are from those that went.
    /// Both are asked under the lock: counting and giving are one step, so that no two claims get
    /// the last place.
    fn reserve(
        &self,
        server: &str,
        id: &ClaimId,
        quotas: &Quotas,
        recorded: impl FnOnce() -> HashSet<ClaimId>,
        lives: impl Fn(&ClaimId) -> bool,
    ) -> Result<(), Exceeded> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.get(id).is_some_and(|at| at == server) {
            return Ok(());
        }
        let recorded = recorded();
        given.retain(|other, at| (at != server || !recorded.contains(other)) && lives(other));
        let mut there = recorded;
        let waiting = given.iter().filter(|(_, at)| *at == server);
        there.extend(waiting.map(|(other, _)| other.clone()));
        there.remove(id);
        if let Some(exceeded) = exceeded(quotas, id, &there) {
            given.remove(id);
            return Err(exceeded);
        }
        given.insert(id.clone(), server.to_owned());
        Ok(())
    }

    /// Forgets the claims that are gone.
    pub fn prune(&self, lives: impl Fn(&ClaimId) -> bool) {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|id, _| lives(id));
    }
}

/// The bound that would be passed if `id` joined those that are `there`.
fn exceeded(quotas: &Quotas, id: &ClaimId, there: &HashSet<ClaimId>) -> Option<Exceeded> {
    let with_one_more = |count: usize| i64::try_from(count).unwrap_or(i64::MAX).saturating_add(1);
    let of_logins = quotas.max_logins.map(|limit| {
        let logins = LOGINS_EACH.saturating_mul(with_one_more(there.len()));
        (logins, limit, Exceeded::Logins(limit))
    });
    let databases = there.iter().filter(|other| other.kind == ClaimKind::Claim);
    let of_all = quotas.max_databases.map(|limit| {
        let databases = databases.clone().count();
        (with_one_more(databases), limit, Exceeded::All(limit))
    });
    let of_namespace = quotas.max_databases_per_namespace.map(|limit| {
        let theirs = databases.filter(|other| other.namespace == id.namespace);
        (
            with_one_more(theirs.count()),
            limit,
            Exceeded::OfNamespace(limit),
        )
    });
    let of_databases = [of_all, of_namespace].into_iter();
    let of_databases = of_databases.filter(|_| id.kind == ClaimKind::Claim);
    let mut bounds = of_databases.chain([of_logins]).flatten();
    let passed = bounds.find(|(count, limit, _)| count > limit);
    passed.map(|(_, _, exceeded)| exceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize, namespace: &str) -> ClaimId {
        ClaimId {
            kind: ClaimKind::Claim,
            uid: format!("uid-{number}"),
            namespace: namespace.to_owned(),
            name: format!("claim-{number}"),
        }
    }

    const THREE: Quotas = Quotas {
        max_databases: Some(3),
        max_databases_per_namespace: Some(2),
        max_logins: None,
        max_connections_per_login: None,
        max_rotations_per_minute: None,
        max_admin_connections: None,
    };

    fn reserve(given: &Reservations, tenant: &ClaimId) -> Result<(), Exceeded> {
        given.reserve("main", tenant, &THREE, HashSet::new, |_| true)
    }

    #[test]
    fn claims_of_one_instant_get_no_more_places_than_there_are() {
        let given = Reservations::default();
        assert_eq!(reserve(&given, &tenant(1, "shop")), Ok(()));
        assert_eq!(reserve(&given, &tenant(2, "shop")), Ok(()));
        let err = reserve(&given, &tenant(3, "shop"));
        assert_eq!(err, Err(Exceeded::OfNamespace(2)));
        assert_eq!(reserve(&given, &tenant(4, "billing")), Ok(()));
        assert_eq!(reserve(&given, &tenant(5, "crm")), Err(Exceeded::All(3)));
        assert_eq!(reserve(&given, &tenant(1, "shop")), Ok(()), "has its place");
    }

    #[test]
    fn a_place_is_counted_once_and_goes_with_its_claim() {
        let given = Reservations::default();
        let (first, second) = (tenant(1, "shop"), tenant(2, "shop"));
        reserve(&given, &first).unwrap();
        let recorded = HashSet::from([first.clone()]);
        let next = given.reserve("main", &second, &THREE, || recorded, |_| true);
        assert_eq!(next, Ok(()));
        // The first is gone: neither recorded nor reserved.
        let third = given.reserve("main", &tenant(3, "shop"), &THREE, HashSet::new, |_| true);
        assert_eq!(third, Ok(()));
        let lives = |tenant: &ClaimId| tenant.uid != "uid-2";
        let fourth = given.reserve("main", &tenant(4, "shop"), &THREE, HashSet::new, lives);
        assert_eq!(fourth, Ok(()));
    }

    #[test]
    fn a_claim_that_goes_elsewhere_gives_its_place_back() {
        let given = Reservations::default();
        for number in 1..=2 {
            reserve(&given, &tenant(number, "shop")).unwrap();
        }
        let elsewhere = given.reserve("other", &tenant(1, "shop"), &THREE, HashSet::new, |_| true);
        assert_eq!(elsewhere, Ok(()));
        assert_eq!(reserve(&given, &tenant(3, "shop")), Ok(()));
    }

    #[test]
    fn logins_are_counted_by_pairs_of_claims_and_role_claims() {
        let given = Reservations::default();
        let quotas = Quotas {
            max_databases: Some(1),
            max_logins: Some(5),
            ..Quotas::default()
        };
        let reserve = |id: &ClaimId| given.reserve("main", id, &quotas, HashSet::new, |_| true);
        let role_claim = |number| ClaimId {
            kind: ClaimKind::RoleClaim,
            ..tenant(number, "shop")
        };
        assert_eq!(reserve(&tenant(1, "shop")), Ok(()));
        assert_eq!(reserve(&tenant(2, "shop")), Err(Exceeded::All(1)));
        // A role claim has no database of its own, and the fifth login is half a pair.
        assert_eq!(reserve(&role_claim(3)), Ok(()));
        assert_eq!(reserve(&role_claim(4)), Err(Exceeded::Logins(5)));
        assert_eq!(reserve(&role_claim(3)), Ok(()), "has its place");
    }
}
