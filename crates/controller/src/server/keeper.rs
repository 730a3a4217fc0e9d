//! A DatabaseServer, as the machine that keeps a published credential knows it.

use api::{claim::Inspection, server::DatabaseServer};
use engine::observed::Recorded;
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};

use crate::{
    context::Context,
    error::Error,
    rotation::{Happening, Subject, alive},
};

pub(super) struct Keeper<'a> {
    pub server: &'a DatabaseServer,
    pub context: &'a Context,
}

impl Subject for Keeper<'_> {
    fn check(&self) -> Result<(), Error> {
        let cached = self.context.servers.get(&ObjectRef::from_obj(self.server));
        let cached = cached.as_ref().map(|server| &server.metadata);
        alive::check_same(&self.server.metadata, cached)
    }

    async fn check_live(&self) -> Result<(), Error> {
        self.check()?;
        let servers = Api::<DatabaseServer>::all(self.context.client.clone());
        let found = servers
            .get_metadata_opt(&self.server.name_any())
            .await
            .map_err(Error::kubernetes("return the server"))?;
        let found = found.as_ref().map(|found| &found.metadata);
        alive::check_same(&self.server.metadata, found)
    }

    /// Nothing repeats an admin's Secret.
    async fn let_go(&self, _: &[&str]) -> Result<Vec<Happening>, Error> {
        Ok(Vec::new())
    }

    async fn follow(&self) {}

    /// Servers are not inspected.
    fn inspected(&self) -> Option<&str> {
        None
    }

    async fn answer(&self, _: Inspection) -> Result<(), Error> {
        Ok(())
    }

    fn recorded_secret(&self) -> Option<&str> {
        let secret = self.server.status.as_ref()?.admin_secret.as_ref()?;
        Some(&secret.name)
    }
}

/// What the server's status recorded of its admin's credential.
pub(super) fn recorded(server: &DatabaseServer) -> Recorded {
    let status = server.status.as_ref();
    let Some(rotation) = status.and_then(|status| status.rotation.clone()) else {
        return Recorded::default();
    };
    Recorded {
        secret_resource_version: rotation.secret_resource_version,
        current_login: rotation.current_login,
        rotated_at: rotation.last_rotation_at,
        handled_nonce: rotation.handled_nonce,
        deferred_since: rotation.deferred_since,
        generation: rotation.generation,
        revoked: rotation.revocation.map(|it| it.generation),
        database: None,
        is_provisioned: true,
        is_carried_out: true,
    }
}
