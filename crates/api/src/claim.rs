//! DatabaseClaim: an application's wish for a database and a login that changes by itself.

mod inspection;
mod spec;
mod status;

pub(crate) use self::spec::{DURATION_RULE, drift_policy};
pub use self::{
    inspection::{Inspection, SessionGroup},
    spec::{
        Database, DatabaseClaim, DatabaseClaimSpec, DatabaseRole, FORMATS, OBSERVE, PER_DATABASE,
        RotationSpec, SecretRef, SecretTemplate, SourceDataFrom, Tag,
    },
    status::{
        Binding, ConnectionInfo, ConsumersStatus, DatabaseClaimStatus, OldStatus, Revocation,
        RotationStatus, ServerStatus, Status, StoredDatabase, StoredSource, db_state,
    },
};
use crate::names;

impl DatabaseClaim {
    /// The class that serves this claim.
    pub fn class(&self) -> &str {
        names::class_of(self.spec.class.as_deref())
    }

    /// The name of the Secret that is published: `spec.secretName`, or the claim's own name.
    pub fn secret_name(&self) -> &str {
        let own = self.metadata.name.as_deref().unwrap_or_default();
        self.spec
            .secret_name
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(own)
    }
}
