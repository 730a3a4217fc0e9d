//! Places that claims got on a server with a quota, from the decision until the claims' own status
//! says it. The cache alone is late: claims made at one instant would all be counted as none.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

/// A claim that counts against a quota.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tenant {
    pub uid: String,
    pub namespace: String,
    pub name: String,
}

/// How many databases a server may hold.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub all: Option<i64>,
    pub of_namespace: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    All(i64),
    OfNamespace(i64),
}

/// The places that were given away: the server of each claim.
#[derive(Debug, Default)]
pub struct Reservations(Mutex<HashMap<Tenant, String>>);

impl Reservations {
    /// Gives `tenant` a place on `server`, or says which bound forbids it. `recorded` tells the
    /// claims whose status names the server; `lives` tells claims that still are from those that
    /// went. Both are asked under the lock: counting and giving are one step, so that no two
    /// claims get the last place.
    pub fn reserve(
        &self,
        server: &str,
        tenant: &Tenant,
        quota: Quota,
        recorded: impl FnOnce() -> HashSet<Tenant>,
        lives: impl Fn(&Tenant) -> bool,
    ) -> Result<(), Exceeded> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.get(tenant).is_some_and(|at| at == server) {
            return Ok(());
        }
        let recorded = recorded();
        given.retain(|other, at| (at != server || !recorded.contains(other)) && lives(other));
        let mut there = recorded;
        let waiting = given.iter().filter(|(_, at)| *at == server);
        there.extend(waiting.map(|(other, _)| other.clone()));
        there.remove(tenant);
        let of_namespace = there
            .iter()
            .filter(|other| other.namespace == tenant.namespace)
            .count();
        let is_full =
            |count: usize, limit: &i64| i64::try_from(count).unwrap_or(i64::MAX) >= *limit;
        let exceeded = match quota {
            Quota {
                all: Some(limit), ..
            } if is_full(there.len(), &limit) => Some(Exceeded::All(limit)),
            Quota {
                of_namespace: Some(limit),
                ..
            } if is_full(of_namespace, &limit) => Some(Exceeded::OfNamespace(limit)),
            _ => None,
        };
        if let Some(exceeded) = exceeded {
            given.remove(tenant);
            return Err(exceeded);
        }
        given.insert(tenant.clone(), server.to_owned());
        Ok(())
    }

    /// Forgets the claims that are gone.
    pub fn prune(&self, lives: impl Fn(&Tenant) -> bool) {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|tenant, _| lives(tenant));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize, namespace: &str) -> Tenant {
        Tenant {
            uid: format!("uid-{number}"),
            namespace: namespace.to_owned(),
            name: format!("claim-{number}"),
        }
    }

    const THREE: Quota = Quota {
        all: Some(3),
        of_namespace: Some(2),
    };

    fn reserve(given: &Reservations, tenant: &Tenant) -> Result<(), Exceeded> {
        given.reserve("main", tenant, THREE, HashSet::new, |_| true)
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
        let next = given.reserve("main", &second, THREE, || recorded, |_| true);
        assert_eq!(next, Ok(()));
        // The first is gone: neither recorded nor reserved.
        let third = given.reserve("main", &tenant(3, "shop"), THREE, HashSet::new, |_| true);
        assert_eq!(third, Ok(()));
        let lives = |tenant: &Tenant| tenant.uid != "uid-2";
        let fourth = given.reserve("main", &tenant(4, "shop"), THREE, HashSet::new, lives);
        assert_eq!(fourth, Ok(()));
    }

    #[test]
    fn a_claim_that_goes_elsewhere_gives_its_place_back() {
        let given = Reservations::default();
        for number in 1..=2 {
            reserve(&given, &tenant(number, "shop")).unwrap();
        }
        let elsewhere = given.reserve("other", &tenant(1, "shop"), THREE, HashSet::new, |_| true);
        assert_eq!(elsewhere, Ok(()));
        assert_eq!(reserve(&given, &tenant(3, "shop")), Ok(()));
    }
}
