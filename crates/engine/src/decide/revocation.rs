//! What becomes of a credential that leaked: it is replaced at once where it is the published one,
//! and then its login is shut, so that no earlier credential works either.

use crate::{
    names::{Login, LoginPair},
    observed::Observed,
    rotation::pick::attempt,
    wishes::Wishes,
};

/// A revocation whose credential is no longer the published one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The newest credential that is revoked.
    pub generation: i64,
    /// The login that still has that credential, or an earlier one.
    pub login: Option<Login>,
    /// Whether that login can still be used, and is to be shut.
    pub closes: bool,
    /// Whether an unfinished attempt may still publish it: the Secret's version is moved first.
    pub needs_fence: bool,
}

/// Whether the published credential is revoked, and so must be replaced.
pub(super) fn is_published_revoked(wishes: &Wishes, observed: &Observed) -> bool {
    let published = observed.generation();
    wishes.timing.asked.revoked(published) == Some(published)
}

/// What is left to do, once for each revocation.
pub fn revocation(wishes: &Wishes, observed: &Observed) -> Option<Revocation> {
    let published = observed.generation();
    let generation = wishes.timing.asked.revoked(published)?;
    let is_done = observed.recorded.revoked >= Some(generation);
    if is_done || generation == published {
        return None;
    }
    // A credential before the previous one is gone: each rotation takes the password of the one
    // before the last.
    let is_previous = generation == published - 1;
    let login = is_previous.then(|| previous(wishes, observed)).flatten();
    let role = login
        .as_ref()
        .and_then(|login| observed.catalog.roles.get(login.as_str()));
    let version = observed.secret.as_ref();
    let version = version.map(|secret| secret.resource_version.clone());
    let attempted = login
        .as_ref()
        .and_then(|login| attempt(&observed.catalog, login));
    Some(Revocation {
        generation,
        closes: role.is_some_and(|role| role.can_login),
        needs_fence: attempted.is_some() && attempted == version,
        // Nothing can be ended of a login that is not there.
        login: login.filter(|_| role.is_some()),
    })
}

/// The login that was published before; the Secret names it, also where it has an earlier name.
fn previous(wishes: &Wishes, observed: &Observed) -> Option<Login> {
    let published = observed.login.as_ref()?;
    let pair = wishes.logins();
    let named = observed.secret.as_ref()?.previous_login();
    let former = wishes.former_logins();
    let known: Vec<_> = former
        .flat_map(|pair| pair.both().map(Login::clone))
        .chain(LoginPair::both(&pair).map(Login::clone))
        .collect();
    let named = known
        .into_iter()
        .find(|login| named == Some(login.as_str()));
    named
        .or_else(|| {
            pair.contains(published.as_str())
                .then(|| pair.other(published.as_str()).clone())
        })
        .filter(|login| login != published)
}

#[cfg(test)]
mod tests {
    use api::names::annotation;

    use super::*;
    use crate::{
        asked::Asked,
        catalog::{Role, Session},
        decide::{
            CredentialStep, credential, plan,
            tests::setup::{at, catalog, database, observed, stored, wishes},
        },
        mark::Mark,
        observed::Proof,
        rotation::Cause,
        wishes::Mode,
    };

    /// The third credential is `published`'s, and the second the other login's.
    fn seen(published: &str, attempt: Option<&str>) -> Observed {
        let mark = Mark::new("shop/orders", "uid-1");
        let comment = attempt.map_or_else(|| mark.clone(), |base| mark.clone().attempt(base));
        let usable = Role {
            can_login: true,
            comment: Some(comment.to_string()),
            ..Role::default()
        };
        let mut secret = stored(published);
        secret
            .annotations
            .insert(annotation::GENERATION.to_owned(), "3".to_owned());
        let roles = [("clerk_a", usable.clone()), ("clerk_b", usable)];
        observed(Some(secret), catalog(&roles))
    }

    fn revoking(generation: i64) -> Wishes {
        let mut wishes = wishes(Mode::Adopt);
        wishes.timing.is_paused = true;
        wishes.timing.asked = Asked {
            revoke: Some(generation.to_string()),
            ..Asked::default()
        };
        wishes
    }

    #[test]
    fn the_published_credential_is_replaced_at_once_and_its_password_never_set_again() {
        let mut seen = seen("clerk_a", None);
        let login = Login::try_from("clerk_b").unwrap();
        seen.catalog.sessions.push(Session {
            login,
            pid: 7,
            client: None,
            since: None,
        });
        for published in [Proof::NotAsked, Proof::Works, Proof::Refused] {
            seen.published = published;
            let step = credential(&revoking(3), &seen, at(1_000_060));
            let CredentialStep::Replace {
                idle,
                cause,
                ends_sessions,
                ..
            } = step
            else {
                panic!("{step:?}");
            };
            assert_eq!((idle.login().as_str(), cause), ("clerk_b", Cause::Revoked));
            assert!(!ends_sessions, "those of the other login stay");
            assert_eq!(revocation(&revoking(3), &seen), None, "not before that");
        }
    }

    #[test]
    fn the_login_before_is_shut_and_an_older_credential_is_gone_already() {
        for (published, previous) in [("clerk_a", "clerk_b"), ("clerk_b", "clerk_a")] {
            let seen = seen(published, None);
            let step = credential(&revoking(2), &seen, at(1_000_060));
            assert_eq!(step, CredentialStep::Keep);
            let found = revocation(&revoking(2), &seen).unwrap();
            assert_eq!(found.login.unwrap().as_str(), previous);
            assert!(found.closes && !found.needs_fence);
            let older = revocation(&revoking(1), &seen).unwrap();
            assert_eq!((older.login, older.closes), (None, false));
            let told = plan(&revoking(2), &database(), &seen, at(1_000_060));
            let told = told.join("; ");
            assert!(
                told.contains(&format!("shutting login {previous}")),
                "{told}"
            );
        }
    }

    #[test]
    fn a_login_that_may_still_be_published_is_fenced_before_it_is_shut() {
        let found = revocation(&revoking(2), &seen("clerk_a", Some("7"))).unwrap();
        assert!(found.closes && found.needs_fence);
        let found = revocation(&revoking(2), &seen("clerk_a", Some("6"))).unwrap();
        assert!(found.closes && !found.needs_fence);
    }

    #[test]
    fn what_is_done_is_not_done_again_and_what_was_never_published_not_at_all() {
        let mut seen = seen("clerk_a", None);
        assert_eq!(revocation(&revoking(4), &seen), None);
        let step = credential(&revoking(4), &seen, at(1_000_060));
        assert_eq!(step, CredentialStep::Keep);
        seen.recorded.revoked = Some(2);
        assert_eq!(revocation(&revoking(2), &seen), None);
        assert_eq!(revocation(&revoking(1), &seen), None);
    }
}
