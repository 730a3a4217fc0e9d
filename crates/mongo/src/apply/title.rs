//! What a step does, in a few words for errors.

use engine::step::ServerStep;

pub(super) fn of(step: &ServerStep) -> String {
    match step {
        ServerStep::CreateLogin { login, .. } => format!("creating login {login}"),
        ServerStep::CreateCopy {
            login, database, ..
        } => format!("creating login {login} in {database}"),
        ServerStep::DropCopy { login, database } => {
            format!("dropping login {login} in {database}")
        }
        ServerStep::GrantRoles { login, roles } => {
            let roles: Vec<_> = roles.iter().map(ToString::to_string).collect();
            format!("granting {} to {login}", roles.join(", "))
        }
        ServerStep::RevokeRoles { login, roles } => {
            let roles: Vec<_> = roles.iter().map(ToString::to_string).collect();
            format!("taking {} from {login}", roles.join(", "))
        }
        ServerStep::MarkLogin { login, .. } => format!("marking login {login}"),
        ServerStep::OwnDatabase { database, .. } => format!("reserving database {database}"),
        ServerStep::Retire { login } => format!("retiring login {login}"),
        ServerStep::Terminate { login } => format!("ending the connections of {login}"),
        ServerStep::DropLogin { login, .. } => format!("dropping login {login}"),
        ServerStep::DropDatabase { database } => format!("dropping database {database}"),
        _ => "a step of another engine".to_owned(),
    }
}
