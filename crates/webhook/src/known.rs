//! What the webhook may know beyond the request: memory of the controller's watches, no API call.

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim};

/// Looks into the controller's caches. Implementations answer from memory only.
pub trait Known: Send + Sync {
    /// What the claim or role claim of that name publishes; the role claim wins if both exist.
    fn published(&self, ns: &str, claim: &str) -> Option<Published>;

    /// The claim or role claim that publishes that Secret.
    fn claim_of(&self, ns: &str, secret: &str) -> Option<String>;

    /// Whether the namespace is being deleted.
    fn is_terminating(&self, ns: &str) -> bool;
}

/// What pods with a claim's name in their label mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub secret: String,
}

impl Published {
    /// What two claims of one name publish together: the role claim wins. `None` without either.
    pub fn of(role_claim: Option<&DbRoleClaim>, claim: Option<&DatabaseClaim>) -> Option<Self> {
        let secret = match (role_claim, claim) {
            (Some(role_claim), _) => secret_of(role_claim),
            (None, Some(claim)) => claim.secret_name(),
            (None, None) => return None,
        };
        Some(Self {
            secret: secret.to_owned(),
        })
    }
}

/// `spec.secretName`, or the role claim's own name.
fn secret_of(role_claim: &DbRoleClaim) -> &str {
    let own = role_claim.metadata.name.as_deref().unwrap_or_default();
    let wished = role_claim.spec.secret_name.as_deref();
    wished.filter(|name| !name.is_empty()).unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(role_claim: Option<&DbRoleClaim>, claim: Option<&DatabaseClaim>, want: Option<&str>) {
        let published = Published::of(role_claim, claim);
        assert_eq!(published.map(|it| it.secret).as_deref(), want);
    }

    #[test]
    fn row_53_the_role_claim_wins_and_its_own_name_is_the_default() {
        let mut role_claim = DbRoleClaim::new("shop", api::role_claim::DbRoleClaimSpec::default());
        let mut claim = DatabaseClaim::new("shop", api::claim::DatabaseClaimSpec::default());
        claim.spec.secret_name = Some("orders-dsn".to_owned());
        check(None, None, None);
        check(None, Some(&claim), Some("orders-dsn"));
        check(Some(&role_claim), Some(&claim), Some("shop"));
        role_claim.spec.secret_name = Some("clerk-dsn".to_owned());
        check(Some(&role_claim), Some(&claim), Some("clerk-dsn"));
    }
}
