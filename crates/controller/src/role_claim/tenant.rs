//! A role claim with logins of its own, as the machine that keeps its credential knows it.

use api::{
    claim::Inspection,
    role_claim::{DbRoleClaim, DbRoleClaimStatus},
};
use engine::{observed::Recorded, wishes::ClaimId};
use kube::runtime::reflector::ObjectRef;

use crate::{
    context::Context,
    error::Error,
    objects,
    rotation::{Happening, Subject, alive, former_secret, record},
};

pub(super) struct Tenant<'a> {
    pub role_claim: &'a DbRoleClaim,
    pub context: &'a Context,
    /// Whether it has its logins where its source is now.
    pub is_there: bool,
}

impl Subject for Tenant<'_> {
    fn check(&self) -> Result<(), Error> {
        let cached = self
            .context
            .role_claim(&ObjectRef::from_obj(self.role_claim));
        alive::check(self.role_claim, cached.as_deref())
    }

    async fn check_live(&self) -> Result<(), Error> {
        self.check()?;
        alive::check_live(self.context, self.role_claim).await
    }

    /// Secrets of an earlier name.
    async fn let_go(&self, ends: &[&str]) -> Result<Vec<Happening>, Error> {
        let (context, id) = (self.context, ClaimId::of_role_claim(self.role_claim)?);
        let current = self.role_claim.secret_name();
        let mut happenings = Vec::new();
        for secrets in context.copies.get().into_iter().flatten() {
            let removed = former_secret::remove(&context.client, secrets, &id, current, ends);
            happenings.extend(removed.await?);
        }
        Ok(happenings)
    }

    /// Nothing repeats a role claim's Secret.
    async fn follow(&self) {}

    fn inspected(&self) -> Option<&str> {
        let inspection = self.role_claim.status.as_ref()?.inspection.as_ref()?;
        Some(&inspection.nonce)
    }

    async fn answer(&self, inspection: Inspection) -> Result<(), Error> {
        let before = self.role_claim.status.clone().unwrap_or_default();
        let status = DbRoleClaimStatus {
            inspection: Some(Box::new(inspection)),
            ..before.clone()
        };
        let client = &self.context.client;
        let written = objects::patch_status(client, self.role_claim, &before, &status);
        written.await.map(drop)
    }

    fn recorded_secret(&self) -> Option<&str> {
        let binding = self.role_claim.status.as_ref()?.binding.as_ref()?;
        Some(&binding.name)
    }
}

/// What the role claim's status recorded. Of the original's only login and time are known.
pub(super) fn recorded(tenant: &Tenant<'_>) -> Recorded {
    let role_claim = tenant.role_claim;
    let Some(status) = &role_claim.status else {
        return Recorded::default();
    };
    let rotation = status.rotation.clone().unwrap_or_default();
    Recorded {
        secret_resource_version: rotation.secret_resource_version,
        current_login: rotation.current_login.or(status.username.clone()),
        rotated_at: rotation.last_rotation_at.or(status.secret_updated_at),
        handled_nonce: rotation.handled_nonce,
        deferred_since: rotation.deferred_since,
        generation: rotation.generation,
        revoked: rotation.revocation.map(|it| it.generation),
        database: status.database.clone().map(|database| database.name),
        is_provisioned: role_claim.has_logins(),
        is_carried_out: tenant.is_there
            && record::is_carried_out(&status.conditions, role_claim.metadata.generation),
    }
}
