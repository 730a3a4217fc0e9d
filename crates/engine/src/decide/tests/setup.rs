//! A claim, its Secret and a server, and a model of what a server does with steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::names::{annotation, label, secret_key};
use jiff::Timestamp;

use crate::{
    address::Engine,
    asked::Asked,
    catalog::{Admin, Catalog, Database, Membership, Role},
    names::{DatabaseName, RoleName},
    observed::{Observed, Proof, Recorded},
    password::Policy,
    secret::Stored,
    step::{Attribute, ServerStep},
    wishes::{
        Access, ClaimId, ClaimKind, DriftPolicy, Elevation, Mode, SecretShape, Timing, Wishes,
    },
};

pub(crate) fn catalog(roles: &[(&str, Role)]) -> Catalog {
    Catalog {
        version: 160_000,
        admin: Admin {
            name: "root".to_owned(),
            is_superuser: false,
            can_create_roles: true,
            can_create_databases: true,
            has_replication: false,
            bypasses_row_security: false,
        },
        roles: roles
            .iter()
            .map(|(name, role)| ((*name).to_owned(), role.clone()))
            .collect(),
        copies: BTreeMap::new(),
        memberships: Vec::new(),
        database: None,
        databases: BTreeMap::new(),
        sessions: Vec::new(),
        has_rds_replication: false,
        has_rds_superuser: false,
        grants_rds_superuser: false,
        unsupported: BTreeSet::new(),
    }
}

pub(crate) fn wishes(mode: Mode) -> Wishes {
    Wishes {
        claim: ClaimId {
            kind: ClaimKind::Claim,
            namespace: "shop".into(),
            name: "orders".into(),
            uid: "uid-1".into(),
        },
        mode,
        role: RoleName::try_from("clerk").unwrap(),
        renamed_from: None,
        former_roles: Vec::new(),
        timing: Timing {
            period: Duration::from_hours(1),
            overlap: None,
            max_overlap: None,
            is_paused: false,
            asked: Asked::default(),
        },
        extensions: Vec::new(),
        are_extensions_explicit: false,
        permitted_extensions: None,
        system_functions: Vec::new(),
        wants_replication: false,
        elevation: Elevation::Denied,
        bounds: None,
        password: Policy::Complex { length: 15 },
        secret: SecretShape::default(),
        engine: Engine::Postgres,
        access: Access::default(),
        share: None,
        drift: DriftPolicy::Repair,
    }
}

pub(crate) fn database() -> DatabaseName {
    DatabaseName::try_from("ordersdb").unwrap()
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn stored(login: &str) -> Stored {
    let pairs = [(secret_key::USERNAME, login), (secret_key::PASSWORD, "pw")];
    Stored {
        resource_version: "7".to_owned(),
        labels: [(
            label::MANAGED_BY.to_owned(),
            label::CLAIM_MANAGER.to_owned(),
        )]
        .into(),
        annotations: [
            (annotation::CLAIM_UID.to_owned(), "uid-1".to_owned()),
            (annotation::ROTATED_AT.to_owned(), at(1_000_000).to_string()),
        ]
        .into(),
        owner_uids: Vec::new(),
        type_: "Opaque".to_owned(),
        data: pairs
            .map(|(key, value)| (key.to_owned(), value.into()))
            .into(),
    }
}

pub(crate) fn observed(secret: Option<Stored>, catalog: Catalog) -> Observed {
    Observed {
        recorded: Recorded {
            secret_resource_version: secret.as_ref().map(|s| s.resource_version.clone()),
            current_login: secret
                .as_ref()
                .and_then(Stored::login)
                .map(|login| login.to_string()),
            ..Recorded::default()
        },
        login: secret.as_ref().and_then(Stored::login),
        secret,
        catalog,
        published: Proof::Works,
    }
}

/// Carries steps out on a catalog as a server would: the model for convergence.
pub(crate) fn apply(catalog: &mut Catalog, steps: &[ServerStep]) {
    for step in steps {
        match step.clone() {
            ServerStep::CreateOwner { role, mark } | ServerStep::MarkOwner { role, mark } => {
                let role = catalog.roles.entry(role.to_string()).or_default();
                role.comment = Some(mark.to_string());
            }
            ServerStep::CreateLogin { login, mark, .. } => {
                let comment = Some(mark.to_string());
                let role = Role {
                    can_login: true,
                    comment,
                    ..Role::default()
                };
                catalog.roles.insert(login.to_string(), role);
            }
            ServerStep::MarkLogin { login, mark } => {
                catalog.roles.get_mut(login.as_str()).unwrap().comment = Some(mark.to_string());
            }
            ServerStep::JoinOwner { login, role } => {
                let found = catalog.roles.get_mut(login.as_str()).unwrap();
                found.member_of.push(role.to_string());
                let grantor = catalog.admin.name.clone();
                catalog
                    .memberships
                    .push(membership(role.as_str(), login.as_str(), &grantor));
            }
            ServerStep::AssumeOwner { login, role } => {
                let found = catalog.roles.get_mut(login.as_str()).unwrap();
                found.session_role = Some(role.to_string());
            }
            ServerStep::LimitConnections { login, limit, mark } => {
                let found = catalog.roles.get_mut(login.as_str()).unwrap();
                found.connection_limit = limit;
                found.comment = Some(mark.to_string());
            }
            ServerStep::Elevate { role } => {
                let found = catalog.roles.get_mut(role.as_str()).unwrap();
                found.can_create_roles = true;
                found.member_of.push("rds_superuser".to_owned());
            }
            ServerStep::Demote { role } => {
                let found = catalog.roles.get_mut(role.as_str()).unwrap();
                found.can_create_roles = false;
                found.member_of.retain(|name| name != "rds_superuser");
            }
            ServerStep::CreateDatabase { .. } => {
                let owner = catalog.admin.name.clone();
                catalog.database = Some(Database {
                    owner,
                    comment: None,
                    admin_owns: true,
                    public_rights: vec!["CONNECT".to_owned(), "TEMPORARY".to_owned()],
                });
            }
            ServerStep::OwnDatabase { role, mark, .. } => {
                let comment = Some(mark.to_string());
                catalog
                    .roles
                    .get_mut(role.as_str())
                    .unwrap()
                    .comment
                    .clone_from(&comment);
                let owner = role.to_string();
                catalog.database = Some(Database {
                    owner,
                    comment,
                    admin_owns: false,
                    ..Database::default()
                });
            }
            ServerStep::RenameOwner { from, to } => {
                let role = catalog.roles.remove(from.as_str()).unwrap();
                catalog.roles.insert(to.to_string(), role);
            }
            step => mend(catalog, &step),
        }
    }
}

pub(crate) fn membership(role: &str, member: &str, grantor: &str) -> Membership {
    Membership {
        role: role.to_owned(),
        member: member.to_owned(),
        grantor: grantor.to_owned(),
        admin_may_revoke: grantor == "root",
    }
}

/// What puts right what a hand changed.
fn mend(catalog: &mut Catalog, step: &ServerStep) {
    match step {
        ServerStep::LeaveRole {
            member,
            role,
            grantor,
        } => {
            let is_it = |it: &Membership| {
                it.member == *member && it.role == *role && Some(&it.grantor) == grantor.as_ref()
            };
            catalog.memberships.retain(|it| !is_it(it));
        }
        ServerStep::Alter { role, attribute } => {
            set(catalog.roles.get_mut(role).unwrap(), *attribute, false);
        }
        ServerStep::RevokeReplication { login, .. } => {
            let role = catalog.roles.get_mut(login.as_str()).unwrap();
            role.has_replication = false;
        }
        ServerStep::ReturnDatabase { role, .. } => {
            catalog.database.as_mut().unwrap().owner = role.to_string();
        }
        ServerStep::CloseDatabase { .. } => {
            catalog.database.as_mut().unwrap().public_rights.clear();
        }
        other => panic!("not modelled: {other:?}"),
    }
}

/// Makes an attribute differ from what it is to be, or right again.
pub(crate) fn set(role: &mut Role, attribute: Attribute, is_amiss: bool) {
    let field = match attribute {
        Attribute::NoLogin => &mut role.can_login,
        Attribute::NoSuperuser => &mut role.is_superuser,
        Attribute::NoCreateDb => &mut role.can_create_databases,
        Attribute::NoCreateRole => &mut role.can_create_roles,
        Attribute::NoBypassRls => &mut role.bypasses_row_security,
        Attribute::NoReplication => &mut role.has_replication,
        Attribute::Inherit => &mut role.is_noinherit,
        Attribute::NoExpiry => &mut role.expires,
    };
    *field = is_amiss;
}
