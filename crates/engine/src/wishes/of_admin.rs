//! Reads what is wished for a server's admin: the two logins that take turns and act as it.

use std::time::Duration;

use api::{config::Config, names, server::DatabaseServer};

use super::{
    Access, ClaimId, ClaimKind, DriftPolicy, Elevation, Error, Mode, SecretShape, Timing, Wishes,
};
use crate::{address::Engine, asked::Asked, names::RoleName, password::Policy, timing};

/// Where `adminRotation.period` is unset.
const PERIOD: Duration = Duration::from_hours(720);

impl ClaimId {
    /// Who keeps the credential of a server's admin. Two controllers that serve one DatabaseServer
    /// have their Secrets in two namespaces, and must not take each other's logins.
    pub fn of_server(server: &DatabaseServer, namespace: &str) -> Result<Self, Error> {
        let metadata = &server.metadata;
        let uid = metadata.uid.as_ref().ok_or(Error::Metadata("UID"))?;
        Ok(Self {
            kind: ClaimKind::Server,
            namespace: namespace.to_owned(),
            name: metadata.name.clone().ok_or(Error::Metadata("name"))?,
            uid: format!("{uid}@{namespace}"),
        })
    }
}

impl Wishes {
    /// For the admin `role`, whose Secret is to be in `namespace`.
    pub fn of_admin(
        server: &DatabaseServer,
        role: RoleName,
        namespace: &str,
        config: &Config,
    ) -> Result<Self, Error> {
        let claim = ClaimId::of_server(server, namespace)?;
        let engine = Engine::of_type(&server.spec.engine).unwrap_or(Engine::Postgres);
        Ok(Self {
            mode: Mode::Administer,
            role,
            renamed_from: None,
            former_roles: Vec::new(),
            timing: admin_timing(server)?,
            extensions: Vec::new(),
            are_extensions_explicit: false,
            permitted_extensions: None,
            system_functions: Vec::new(),
            wants_replication: false,
            elevation: Elevation::NotOurs,
            bounds: None,
            password: Policy::of(engine, config),
            secret: SecretShape {
                name: names::admin_secret(&claim.name),
                engine: server.spec.engine.clone(),
                ..SecretShape::default()
            },
            engine,
            access: Access::default(),
            share: None,
            drift: DriftPolicy::Repair,
            claim,
        })
    }
}

fn admin_timing(server: &DatabaseServer) -> Result<Timing, timing::Error> {
    let spec = server.spec.admin_rotation.clone().unwrap_or_default();
    let period = match &spec.period {
        Some(period) => timing::duration(period).ok_or(timing::Error::of_admin())?,
        None => PERIOD,
    };
    Ok(Timing {
        period,
        overlap: None,
        // Nobody may end another's sessions on the admin's own logins.
        max_overlap: None,
        is_paused: spec.paused == Some(true),
        asked: Asked {
            rotate: Asked::of(server.metadata.annotations.as_ref()).rotate,
            ..Asked::default()
        },
    })
}
