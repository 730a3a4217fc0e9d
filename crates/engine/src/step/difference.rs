//! What a step that repairs finds wrong, as one plain sentence for conditions and Events.

use super::{Attribute, DatabaseStep, ServerStep, title::listed};
use crate::catalog::Grant;

impl ServerStep {
    /// Such as `login clerk_b is missing`. `None` for a step that repairs nothing. Names only, and
    /// nothing that differs from look to look while the server stays as it is.
    pub fn difference(&self) -> Option<String> {
        Some(match self {
            Self::CreateOwner { role, .. } => format!("owner role {role} is missing"),
            Self::CreateLogin { login, .. } => format!("login {login} is missing"),
            Self::CreateCopy {
                login, database, ..
            } => format!("login {login} is missing in {database}"),
            Self::JoinOwner { login, role } => format!("login {login} is no member of {role}"),
            Self::AssumeOwner { login, role } => format!("login {login} does not run as {role}"),
            Self::GrantRoles { login, roles } => format!("login {login} lacks {}", listed(roles)),
            Self::RevokeRoles { login, roles } => {
                format!("login {login} has {} too many", listed(roles))
            }
            Self::AllowReplication { login, .. } => format!("login {login} may not replicate"),
            Self::RevokeReplication { login, .. } => format!("login {login} may replicate"),
            Self::CreateSchemaRole { role, .. } => format!("role {role} is missing"),
            Self::JoinSchemaRole { member, role } => {
                format!("role {member} is no member of {role}")
            }
            Self::LeaveRole {
                member,
                role,
                grantor,
            } => {
                let by = grantor.as_ref().map(|name| format!(", granted by {name}"));
                format!("{member} is a member of {role}{}", by.unwrap_or_default())
            }
            Self::SearchPath { login, .. } => {
                format!("login {login} looks for names in other schemas")
            }
            Self::CreateDatabase { database } => format!("database {database} is missing"),
            Self::Alter { role, attribute } => format!("role {role} {}", attribute.difference()),
            Self::ReturnDatabase { database, from, .. } => {
                format!("database {database} belongs to {from}")
            }
            Self::CloseDatabase {
                database, rights, ..
            } => format!("PUBLIC has {} on database {database}", rights.join(", ")),
            // Marks and names are the controller's own, bounds and powers the operator's to change, and the end of things is asked for.
            Self::MarkOwner { .. }
            | Self::MarkLogin { .. }
            | Self::MarkSchemaRole { .. }
            | Self::RenameOwner { .. }
            | Self::OwnDatabase { .. }
            | Self::Retire { .. }
            | Self::Disarm { .. }
            | Self::LimitConnections { .. }
            | Self::Elevate { .. }
            | Self::Demote { .. }
            | Self::Terminate { .. }
            | Self::HandOver { .. }
            | Self::DropLogin { .. }
            | Self::DropCopy { .. }
            | Self::DropSchemaRole { .. }
            | Self::DropDatabase { .. }
            | Self::DropOwner { .. } => return None,
        })
    }
}

impl Attribute {
    fn difference(self) -> &'static str {
        match self {
            Self::NoLogin => "may log in itself",
            Self::NoSuperuser => "is a superuser",
            Self::NoCreateDb => "may create databases",
            Self::NoCreateRole => "may create roles",
            Self::NoBypassRls => "bypasses row security",
            Self::NoReplication => "may replicate",
            Self::Inherit => "does not inherit the rights of its roles",
            Self::NoExpiry => "has a password that expires",
        }
    }
}

impl DatabaseStep {
    /// One sentence for each thing that the step makes.
    pub fn differences(&self) -> Vec<String> {
        match self {
            Self::Grant { role, grants } => {
                let lacks = |grant: &Grant| format!("owner role {role} lacks rights on {grant}");
                grants.iter().map(lacks).collect()
            }
            Self::CreateExtension { extension } => {
                vec![format!("extension {extension} is missing")]
            }
            Self::CreateSystemFunction { schema, name, .. } => {
                vec![format!("function {schema}.{name} is missing or differs")]
            }
        }
    }
}
