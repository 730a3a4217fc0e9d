//! Claims are deleted only with a label that says so, because a database may go with them.
//!
//! The same rule can stand in a ValidatingAdmissionPolicy; here it also speaks to scripts that
//! match the original's text.

use std::collections::BTreeMap;

use api::names::deletion;

/// The ServiceAccount that empties namespaces which are being deleted, and does nothing else.
const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";

/// A claim that somebody wants to delete.
#[derive(Debug, Clone, Copy)]
pub struct Deletion<'a> {
    /// `DatabaseClaim` or `DbRoleClaim`.
    pub kind: &'a str,
    pub name: &'a str,
    pub labels: Option<&'a BTreeMap<String, String>>,
    pub progress: Progress,
    pub namespace: Namespace,
    /// The name of who asks.
    pub requester: Option<&'a str>,
}

/// Whether an earlier deletion was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Fresh,
    /// The claim has a deletion timestamp: refusing now would keep nothing.
    UnderWay,
}

/// What the controller's cache says about the claim's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    Stays,
    Terminating,
}

/// The text is the original's, since scripts match it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "deletion is denied for {kind} '{name}'; set label '{label}={allowed}' to override",
    label = deletion::LABEL,
    allowed = deletion::ALLOWED
)]
pub struct Denied {
    kind: String,
    name: String,
}

/// Admits a deletion that its label allows, that is under way, or that goes with its namespace.
pub fn admit(deletion: &Deletion<'_>) -> Result<(), Denied> {
    let Deletion {
        kind,
        name,
        labels,
        progress,
        namespace,
        requester,
    } = *deletion;
    let label = labels.and_then(|labels| labels.get(deletion::LABEL));
    let is_admitted = label.is_some_and(|value| value == deletion::ALLOWED)
        || progress == Progress::UnderWay
        || namespace == Namespace::Terminating
        || requester == Some(NAMESPACE_CONTROLLER);
    if is_admitted {
        return Ok(());
    }
    Err(Denied {
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Deletion<'_> = Deletion {
        kind: "DbRoleClaim",
        name: "clerk",
        labels: None,
        progress: Progress::Fresh,
        namespace: Namespace::Stays,
        requester: Some("jane"),
    };

    #[test]
    fn row_43_without_the_label_the_originals_text_says_what_to_set() {
        let denied = admit(&FRESH).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "deletion is denied for DbRoleClaim 'clerk'; set label \
             'persistance.atlas.infoblox.com/allow-deletion=enabled' to override"
        );
    }

    #[test]
    fn row_43_only_the_value_enabled_allows() {
        for (value, is_allowed) in [("enabled", true), ("true", false), ("", false)] {
            let labels = BTreeMap::from([(deletion::LABEL.to_owned(), value.to_owned())]);
            let deletion = Deletion {
                labels: Some(&labels),
                ..FRESH
            };
            assert_eq!(admit(&deletion).is_ok(), is_allowed, "{value}");
        }
    }

    #[test]
    fn row_43_a_terminating_namespace_takes_its_claims_along() {
        let by_cache = Deletion {
            namespace: Namespace::Terminating,
            ..FRESH
        };
        let by_requester = Deletion {
            requester: Some(NAMESPACE_CONTROLLER),
            ..FRESH
        };
        let again = Deletion {
            progress: Progress::UnderWay,
            ..FRESH
        };
        for deletion in [by_cache, by_requester, again] {
            assert_eq!(admit(&deletion), Ok(()));
        }
    }
}
