//! What a step does, in a few words for errors.

use engine::step::ServerStep;

pub(super) fn of(step: &ServerStep) -> String {
    match step {
        ServerStep::CreateOwner { role, .. } => format!("creating owner role {role}"),
        ServerStep::CreateLogin { login, .. } => format!("creating login {login}"),
        ServerStep::CreateCopy { login, .. } => format!("creating login {login} again"),
        ServerStep::DropCopy { login, .. } => format!("dropping a copy of login {login}"),
        ServerStep::GrantRoles { login, .. } => format!("granting roles to {login}"),
        ServerStep::RevokeRoles { login, .. } => format!("revoking roles of {login}"),
        ServerStep::JoinOwner { login, role } => format!("making {login} a member of {role}"),
        ServerStep::AssumeOwner { login, role } => format!("letting {login} run as {role}"),
        ServerStep::CreateSchemaRole { role, .. } => format!("creating role {role}"),
        ServerStep::MarkSchemaRole { role, .. } => format!("marking role {role}"),
        ServerStep::JoinSchemaRole { member, role } => format!("granting {role} to {member}"),
        ServerStep::LeaveRole { member, role } => format!("revoking {role} from {member}"),
        ServerStep::SearchPath { login, .. } => format!("setting the search path of {login}"),
        ServerStep::DropSchemaRole { role } => format!("dropping role {role}"),
        ServerStep::RenameOwner { from, to } => format!("renaming owner role {from} to {to}"),
        ServerStep::MarkOwner { role, .. } => format!("marking owner role {role}"),
        ServerStep::MarkLogin { login, .. } => format!("marking login {login}"),
        ServerStep::CreateDatabase { database } => format!("creating database {database}"),
        ServerStep::OwnDatabase { database, role, .. } => {
            format!("giving database {database} to {role}")
        }
        ServerStep::AllowReplication { login, .. } => format!("allowing {login} to replicate"),
        ServerStep::RevokeReplication { login, .. } => {
            format!("taking replication from {login}")
        }
        ServerStep::Retire { login } => format!("retiring login {login}"),
        ServerStep::Terminate { login } => format!("ending the sessions of {login}"),
        ServerStep::DropLogin { login, .. } => format!("dropping login {login}"),
        ServerStep::HandOver { role, to } => format!("giving what {role} owns to {to}"),
        ServerStep::DropDatabase { database } => format!("dropping database {database}"),
        ServerStep::DropOwner { role } => format!("dropping owner role {role}"),
    }
}
