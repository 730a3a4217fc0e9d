//! Step 1 of a rotation: pick the login that the published Secret does not name.
//! Uses only what was observed: no I/O and no clock.

use crate::{
    catalog::Catalog,
    names::{Login, LoginPair},
};

/// The base of an attempt where no Secret is published: it tells by the generation which absence
/// is meant, the first or one after a Secret was deleted.
pub fn no_secret(generation: i64) -> String {
    format!("none:{generation}")
}

/// A login that no published DSN uses. Only [`pick`] makes one, and steps 2 to 6 take no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle(Login);

impl Idle {
    pub fn login(&self) -> &Login {
        &self.0
    }
}

/// What is known of the published login.
#[derive(Debug, Clone, Copy)]
pub enum Published<'a> {
    /// The Secret names it.
    Named(&'a Login),
    /// There is no Secret that names one; status remembers the last one, which applications may
    /// still hold. An attempt with this base may be about to be published.
    Remembered {
        login: Option<&'a str>,
        base: &'a str,
    },
}

/// Returns the login of `pair` that is not published.
///
/// Without a Secret nothing says which login an unfinished attempt of another controller is about
/// to publish, so the login with such an attempt is avoided, then the one remembered; `a` is the
/// first of a new claim.
pub fn pick(pair: &LoginPair, published: Published<'_>, catalog: &Catalog) -> Idle {
    match published {
        Published::Named(current) => Idle(pair.other(current.as_str()).clone()),
        Published::Remembered { login, base } => {
            let has_attempt = |idle: &Login| attempt(catalog, idle).as_deref() == Some(base);
            let avoided = |idle: &Login| (has_attempt(idle), login == Some(idle.as_str()));
            let idle = pair.both().into_iter().min_by_key(|idle| avoided(idle));
            Idle(idle.unwrap_or(&pair.a).clone())
        }
    }
}

/// The version of the Secret on which the last change of `login`'s password was based.
pub fn attempt(catalog: &Catalog, login: &Login) -> Option<String> {
    catalog.roles.get(login.as_str())?.mark()?.attempt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::Role, decide::tests::setup::catalog, mark::Mark, names::RoleName};

    fn pair() -> LoginPair {
        LoginPair::of_role(&RoleName::try_from("clerk").unwrap())
    }

    #[test]
    fn the_published_login_is_never_picked() {
        let pair = pair();
        for (published, idle) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
            assert_eq!(
                pick(&pair, Published::Named(published), &catalog(&[])).login(),
                idle
            );
        }
    }

    #[test]
    fn row_11_the_first_login_is_a() {
        let (pair, base) = (pair(), no_secret(0));
        let published = Published::Remembered {
            login: None,
            base: &base,
        };
        assert_eq!(pick(&pair, published, &catalog(&[])).login(), &pair.a);
    }

    #[test]
    fn without_a_secret_an_unfinished_attempt_is_avoided_and_then_the_remembered_login() {
        let (pair, base) = (pair(), no_secret(3));
        let pick = |login, catalog: &Catalog| {
            pick(&pair, Published::Remembered { login, base: &base }, catalog)
                .login()
                .clone()
        };
        assert_eq!(pick(Some("clerk_a"), &catalog(&[])), pair.b);
        let tried = |base: &str| {
            let mark = Mark::new("shop/orders", "u").attempt(base).to_string();
            catalog(&[(
                "clerk_a",
                Role {
                    comment: Some(mark),
                    ..Role::default()
                },
            )])
        };
        assert_eq!(pick(None, &tried(&base)), pair.b);
        // An attempt of an earlier absence is over, so the remembered login is what counts.
        assert_eq!(pick(Some("clerk_b"), &tried(&no_secret(0))), pair.a);
    }
}
