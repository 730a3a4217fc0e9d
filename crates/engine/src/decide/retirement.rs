//! Step 9: what becomes of the login that was published before.

use jiff::Timestamp;

use crate::{
    catalog::Role,
    names::{Login, LoginPair},
    observed::Observed,
    rotation::pick::attempt,
    schedule,
    step::ServerStep,
    wishes::Wishes,
};

/// What to do about earlier logins, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retirement {
    pub steps: Vec<ServerStep>,
    /// When the overlap of a login that is still usable ends.
    pub next: Option<Timestamp>,
    /// Whether live sessions hold a login past its overlap.
    pub is_waiting: bool,
}

/// With the default overlap the previous login stays usable until the next rotation takes it, and
/// nothing is done here. A shorter overlap makes it unusable as soon as it has no sessions. Logins
/// of an earlier owner role are dropped after their overlap: no rotation will ever take them.
pub fn retirement(wishes: &Wishes, observed: &Observed, now: Timestamp) -> Retirement {
    let mut retirement = Retirement::default();
    let Some(rotated_at) = observed.rotated_at(now) else {
        return retirement;
    };
    let Some(published) = observed.login.clone() else {
        return retirement;
    };
    let pair = wishes.logins();
    if !pair.contains(published.as_str()) {
        return retirement;
    }
    let version = observed
        .secret
        .as_ref()
        .map(|secret| secret.resource_version.clone());
    if let Some(overlap) = wishes.timing.overlap {
        let idle = pair.other(published.as_str());
        let role = observed.catalog.roles.get(idle.as_str());
        // An attempt on this very Secret may still be published, and must find its login alive.
        let is_attempted = attempt(&observed.catalog, idle) == version;
        let is_usable = role.is_some_and(|role| role.can_login) && !is_attempted;
        if is_usable {
            let ends = schedule::after(rotated_at, overlap);
            let step = ServerStep::Retire {
                login: idle.clone(),
            };
            retirement.consider(wishes, observed, now, ends, idle, vec![step]);
        }
    }
    let former: Vec<_> = wishes.former_logins().collect();
    for login in former.iter().flat_map(LoginPair::both) {
        let mark = observed
            .catalog
            .roles
            .get(login.as_str())
            .and_then(Role::mark);
        let mine = wishes.claim.mark();
        let is_ours = mark.is_some_and(|mark| mark.same_claim(&mine));
        if is_ours && *login != published {
            let overlap = wishes.timing.overlap.unwrap_or(wishes.timing.period);
            let ends = schedule::after(rotated_at, overlap);
            let copies = observed
                .catalog
                .copies_of(login, |mark| mark.same_claim(&mine));
            let copies = copies.into_iter().map(|database| ServerStep::DropCopy {
                login: login.clone(),
                database,
            });
            let last = ServerStep::DropLogin {
                login: login.clone(),
                role: wishes.role.clone(),
            };
            let steps = copies.chain([last]).collect();
            retirement.consider(wishes, observed, now, ends, login, steps);
        }
    }
    retirement
}

impl Retirement {
    fn consider(
        &mut self,
        wishes: &Wishes,
        observed: &Observed,
        now: Timestamp,
        ends: Timestamp,
        login: &Login,
        steps: Vec<ServerStep>,
    ) {
        let has_sessions = observed
            .catalog
            .sessions
            .iter()
            .any(|session| session.login == *login);
        let is_past_bound = wishes
            .timing
            .max_overlap
            .is_some_and(|bound| schedule::after(ends, bound) <= now);
        if ends > now {
            self.next = Some(self.next.map_or(ends, |next| next.min(ends)));
        } else if !has_sessions {
            self.steps.extend(steps);
        } else if is_past_bound {
            self.steps.push(ServerStep::Terminate {
                login: login.clone(),
            });
            self.steps.extend(steps);
        } else {
            self.is_waiting = true;
        }
    }
}
