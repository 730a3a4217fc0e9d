//! What people ask of a claim by its annotations.

use std::collections::BTreeMap;

use api::names::annotation;

/// Values as they stand there; an empty one asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Rotate once for each new value.
    pub rotate: Option<String>,
    /// The number of a credential that nobody may use any more, nor an earlier one.
    pub revoke: Option<String>,
    /// Answer once for each new value.
    pub inspect: Option<String>,
}

impl Asked {
    pub fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let value = |key| {
            let value = annotations.and_then(|all| all.get(key));
            value.filter(|value| !value.is_empty()).cloned()
        };
        Self {
            rotate: value(annotation::ROTATE),
            revoke: value(annotation::REVOKE),
            inspect: value(annotation::INSPECT),
        }
    }

    /// The newest credential that is revoked, where `published` is the newest of all. A number that
    /// is still to come was mistyped: believed, it would take a credential away that nobody made yet.
    pub fn revoked(&self, published: i64) -> Option<i64> {
        let generation = self.revoke.as_deref()?.parse::<i64>().ok()?;
        (1..=published).contains(&generation).then_some(generation)
    }

    /// Why the revoke annotation does nothing, where it does nothing.
    pub fn refused_revocation(&self, published: i64) -> Option<String> {
        let value = self.revoke.as_deref()?;
        let is_refused = self.revoked(published).is_none();
        is_refused.then(|| {
            let key = annotation::REVOKE;
            format!("annotation {key}: {value:?} is not the number of a credential; the newest is {published}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_credential_that_was_published_is_revoked() {
        let asked = |value: &str| {
            let all = BTreeMap::from([(annotation::REVOKE.to_owned(), value.to_owned())]);
            Asked::of(Some(&all))
        };
        assert_eq!(asked("7").revoked(7), Some(7));
        assert_eq!(asked("6").revoked(7), Some(6));
        assert_eq!(asked("6").refused_revocation(7), None);
        for wrong in ["8", "0", "-1", "seven", "9223372036854775808"] {
            assert_eq!(asked(wrong).revoked(7), None, "{wrong}");
            let said = asked(wrong).refused_revocation(7).unwrap();
            assert!(
                said.contains(wrong) && said.contains("newest is 7"),
                "{said}"
            );
        }
        assert_eq!(asked(""), Asked::default());
        assert_eq!(Asked::default().refused_revocation(7), None);
    }
}
