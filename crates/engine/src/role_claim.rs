//! A role claim and the claim whose database it shares: who may, and what is shared.

use std::collections::BTreeMap;

use api::{
    claim::DatabaseClaim,
    names::{annotation, label},
    role_claim::DbRoleClaim,
};

use crate::{
    ErrorClass,
    names::{self, RoleName},
    secret::Stored,
    source::SecretData,
    wishes::ClaimKind,
};

/// Why a role claim gets nothing, as long as nobody changes something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("claim {claim} does not exist, or in a namespace that this controller does not watch")]
    NoSource { claim: String },
    #[error(
        "claim {claim} does not admit namespace {namespace}; who owns the claim lists it in spec.roleClaimNamespaces"
    )]
    NoConsent { claim: String, namespace: String },
    #[error("claim {claim} has not published its Secret yet")]
    Unpublished { claim: String },
}

impl Refusal {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoConsent { .. } => ErrorClass::Forbidden,
            Self::NoSource { .. } | Self::Unpublished { .. } => ErrorClass::Blocked,
        }
    }
}

/// On which ground a role claim shares a claim's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Same namespace, or one that the claim lists.
    Consent,
    /// The operator lets every namespace in, as the original did.
    AnyNamespace,
}

/// Whether the namespace, with these labels, may share the claim's database; `lets_all_in` is the
/// operator's word for claims that say nothing.
pub fn ground(
    claim: &DatabaseClaim,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    lets_all_in: bool,
) -> Result<Ground, Refusal> {
    let own = claim.metadata.namespace.as_deref().unwrap_or_default();
    let listed = claim.spec.role_claim_namespaces.as_ref();
    if own == namespace || listed.is_some_and(|listed| listed.admits(namespace, labels)) {
        return Ok(Ground::Consent);
    }
    if lets_all_in && listed.is_none() {
        return Ok(Ground::AnyNamespace);
    }
    Err(Refusal::NoConsent {
        claim: format!(
            "{own}/{}",
            claim.metadata.name.as_deref().unwrap_or_default()
        ),
        namespace: namespace.to_owned(),
    })
}

/// `<name>_user`, so that the logins are called as the original calls them. It owns what they make.
pub fn role(name: &str) -> Result<RoleName, names::Error> {
    RoleName::try_from(format!("{name}_user"))
}

/// Whether the role claim shares the claim's own login instead of having one.
pub fn is_copy(role_claim: &DbRoleClaim) -> bool {
    let map = role_claim.spec.schema_role_map.as_ref();
    map.is_none_or(BTreeMap::is_empty)
}

/// Whether a Secret says that it is a copy of what that claim, `namespace/name`, publishes.
pub fn is_copy_of(stored: &Stored, claim: &str) -> bool {
    let manager = stored.labels.get(label::MANAGED_BY);
    let source = stored.annotations.get(annotation::COPY_OF);
    manager.is_some_and(|manager| manager == ClaimKind::RoleClaim.manager())
        && source.is_some_and(|source| source == claim)
}

/// What of a claim's Secret a role claim gets: the keys that the controller published. What people
/// added there is theirs.
pub fn copied(source: &Stored) -> SecretData {
    let keys = source.annotations.get(annotation::KEYS);
    let keys = keys.map(String::as_str).unwrap_or_default();
    let copy = |key: &str| Some((key.to_owned(), source.data.get(key)?.clone()));
    keys.split(',').filter_map(copy).collect()
}

#[cfg(test)]
mod tests {
    use api::{claim::DatabaseClaimSpec, server::AllowedNamespaces};

    use super::*;

    fn claim(listed: Option<&[&str]>) -> DatabaseClaim {
        let names = |listed: &[&str]| listed.iter().map(|name| (*name).to_owned()).collect();
        let spec = DatabaseClaimSpec {
            role_claim_namespaces: listed.map(|listed| AllowedNamespaces {
                names: names(listed),
                ..AllowedNamespaces::default()
            }),
            ..DatabaseClaimSpec::default()
        };
        let mut claim = DatabaseClaim::new("orders", spec);
        claim.metadata.namespace = Some("shop".to_owned());
        claim
    }

    #[test]
    fn row_33_another_namespace_needs_the_claims_consent() {
        let ground = |listed, namespace, lets_all_in| {
            ground(&claim(listed), namespace, &BTreeMap::new(), lets_all_in)
        };
        assert_eq!(ground(None, "shop", false), Ok(Ground::Consent));
        assert_eq!(
            ground(Some(&["reports"]), "reports", false),
            Ok(Ground::Consent)
        );
        let refused = ground(None, "reports", false).unwrap_err();
        assert_eq!(refused.class(), ErrorClass::Forbidden);
        assert!(refused.to_string().contains("shop/orders"), "{refused}");
        assert_eq!(ground(None, "reports", true), Ok(Ground::AnyNamespace));
        // A claim that lists namespaces means those, whatever the operator says.
        assert!(ground(Some(&["reports"]), "other", true).is_err());
        assert!(ground(Some(&[]), "other", true).is_err());
    }

    #[test]
    fn only_what_was_published_is_copied() {
        let mut source = Stored::default();
        for (key, value) in [("username", "clerk_a"), ("token", "somebody's")] {
            source.data.insert(key.to_owned(), value.into());
        }
        assert!(copied(&source).is_empty());
        let keys = "gone,username".to_owned();
        source.annotations.insert(annotation::KEYS.to_owned(), keys);
        let copied = copied(&source);
        assert_eq!(copied.keys().collect::<Vec<_>>(), ["username"]);
    }
}
