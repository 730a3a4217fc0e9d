//! What a step does, in a few words for errors and plans.

use super::{Attribute, ServerStep};
use crate::catalog::DatabaseRole;

impl ServerStep {
    /// Such as `creating login clerk_a`. Names only, never a password.
    pub fn title(&self) -> String {
        match self {
            Self::CreateOwner { role, .. } => format!("creating owner role {role}"),
            Self::CreateLogin { login, .. } => format!("creating login {login}"),
            Self::CreateCopy {
                login, database, ..
            } => format!("creating login {login} in {database}"),
            Self::DropCopy { login, database } => {
                format!("dropping login {login} in {database}")
            }
            Self::GrantRoles { login, roles } => format!("granting {} to {login}", listed(roles)),
            Self::RevokeRoles { login, roles } => format!("taking {} from {login}", listed(roles)),
            Self::JoinOwner { login, role } => format!("making {login} a member of {role}"),
            Self::AssumeOwner { login, role } => format!("letting {login} run as {role}"),
            Self::CreateSchemaRole { role, .. } => format!("creating role {role}"),
            Self::MarkSchemaRole { role, .. } => format!("marking role {role}"),
            Self::JoinSchemaRole { member, role } => format!("granting {role} to {member}"),
            Self::LeaveRole { member, role, .. } => format!("revoking {role} from {member}"),
            Self::Alter { role, attribute } => format!("making {role} {}", attribute.title()),
            Self::ReturnDatabase { database, role, .. } => {
                format!("giving database {database} back to {role}")
            }
            Self::CloseDatabase { database, .. } => {
                format!("closing database {database} to PUBLIC")
            }
            Self::SearchPath { login, .. } => format!("setting the search path of {login}"),
            Self::DropSchemaRole { role } => format!("dropping role {role}"),
            Self::RenameOwner { from, to } => format!("renaming owner role {from} to {to}"),
            Self::MarkOwner { role, .. } => format!("marking owner role {role}"),
            Self::MarkLogin { login, .. } => format!("marking login {login}"),
            Self::CreateDatabase { database } => format!("creating database {database}"),
            Self::OwnDatabase { database, role, .. } => {
                format!("giving database {database} to {role}")
            }
            Self::AllowReplication { login, .. } => format!("allowing {login} to replicate"),
            Self::RevokeReplication { login, .. } => format!("taking replication from {login}"),
            Self::LimitConnections { login, limit, .. } => match limit {
                Some(limit) => format!("limiting {login} to {limit} connections"),
                None => format!("lifting the connection limit of {login}"),
            },
            Self::Elevate { role } => format!("giving {role} the power of rds_superuser"),
            Self::Demote { role } => format!("taking the power of rds_superuser from {role}"),
            Self::Retire { login } => format!("retiring login {login}"),
            Self::Disarm { login } => format!("taking the password of login {login}"),
            Self::Terminate { login } => format!("ending the sessions of {login}"),
            Self::DropLogin { login, .. } => format!("dropping login {login}"),
            Self::HandOver { role, to } => format!("giving what {role} owns to {to}"),
            Self::DropDatabase { database } => format!("dropping database {database}"),
            Self::DropOwner { role } => format!("dropping owner role {role}"),
        }
    }
}

impl Attribute {
    /// As people who administer a server call it.
    fn title(self) -> &'static str {
        match self {
            Self::NoLogin => "NOLOGIN",
            Self::NoSuperuser => "NOSUPERUSER",
            Self::NoCreateDb => "NOCREATEDB",
            Self::NoCreateRole => "NOCREATEROLE",
            Self::NoBypassRls => "NOBYPASSRLS",
            Self::NoReplication => "NOREPLICATION",
            Self::Inherit => "INHERIT",
            Self::NoExpiry => "valid for ever",
        }
    }
}

pub(super) fn listed(roles: &[DatabaseRole]) -> String {
    let roles: Vec<_> = roles.iter().map(ToString::to_string).collect();
    roles.join(", ")
}
