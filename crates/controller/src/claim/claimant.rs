//! A claim, as the machine that keeps its credential knows it.

use api::{
    claim::{DatabaseClaim, Inspection},
    names::finalizer,
};
use engine::wishes::ClaimId;
use kube::runtime::reflector::ObjectRef;

use super::report;
use crate::{
    context::Scope,
    copies,
    error::Error,
    objects,
    rotation::{Happening, Subject, alive, former_secret},
};

pub(super) struct Claimant<'a> {
    pub claim: &'a DatabaseClaim,
    pub scope: &'a Scope,
}

impl Subject for Claimant<'_> {
    fn check(&self) -> Result<(), Error> {
        let cached = self.scope.claims.get(&ObjectRef::from_obj(self.claim));
        alive::check(self.claim, cached.as_deref())
    }

    /// Not asked where this very pass put the finalizer on the version that it read: the API
    /// server was asked then.
    async fn check_live(&self) -> Result<(), Error> {
        self.check()?;
        if !objects::has_finalizer(self.claim, finalizer::CLAIM) {
            return Ok(());
        }
        alive::check_live(&self.scope.context, self.claim).await
    }

    /// Secrets of an earlier name, and copies that role claims have.
    async fn let_go(&self, ends: &[&str]) -> Result<Vec<Happening>, Error> {
        let context = &self.scope.context;
        let (id, current) = (ClaimId::of(self.claim)?, self.claim.secret_name());
        let secrets = &self.scope.secrets;
        let removed = former_secret::remove(&context.client, secrets, &id, current, ends).await?;
        copies::let_go(context, self.claim, |login| ends.contains(&login)).await?;
        Ok(removed)
    }

    async fn follow(&self) {
        copies::follow(&self.scope.context, self.claim).await;
    }

    fn inspected(&self) -> Option<&str> {
        let inspection = self.claim.status.as_ref()?.inspection.as_ref()?;
        Some(&inspection.nonce)
    }

    async fn answer(&self, inspection: Inspection) -> Result<(), Error> {
        let mut status = self.claim.status.clone().unwrap_or_default();
        status.inspection = Some(Box::new(inspection));
        report::write(self.claim, &self.scope.context, &status).await
    }

    fn recorded_secret(&self) -> Option<&str> {
        let binding = self.claim.status.as_ref()?.binding.as_ref()?;
        Some(&binding.name)
    }
}
