//! What roles may do beside owning and logging in: replication, the power of a cloud's superuser, and
//! how many sessions they may have.

use engine::{catalog::Catalog, step::ServerStep};

use super::{granting, marking};
use crate::sql::{Ident, Sql, sql};

/// The server refuses to change an attribute that the admin lacks itself, so only those that differ
/// are named.
pub(super) fn changing(step: &ServerStep, catalog: &Catalog) -> Vec<Sql> {
    match step {
        ServerStep::AllowReplication { login, through_rds } => vec![if *through_rds {
            granting("rds_replication", login.as_str(), catalog)
        } else {
            sql!(
                "ALTER ROLE {name} REPLICATION",
                name = Ident(login.as_str())
            )
        }],
        ServerStep::RevokeReplication { login, through_rds } => vec![if *through_rds {
            sql!(
                "REVOKE rds_replication FROM {name}",
                name = Ident(login.as_str())
            )
        } else {
            sql!(
                "ALTER ROLE {name} NOREPLICATION",
                name = Ident(login.as_str())
            )
        }],
        ServerStep::LimitConnections { login, limit, mark } => vec![
            sql!(
                "ALTER ROLE {name} CONNECTION LIMIT {limit}",
                name = Ident(login.as_str()),
                limit = i64::from(limit.unwrap_or(-1)),
            ),
            marking(login.as_str(), mark),
        ],
        ServerStep::Elevate { role } => vec![
            granting("rds_superuser", role.as_str(), catalog),
            sql!("ALTER ROLE {name} CREATEROLE", name = Ident(role.as_str())),
        ],
        ServerStep::Demote { role } => vec![
            sql!(
                "REVOKE rds_superuser FROM {name}",
                name = Ident(role.as_str())
            ),
            sql!(
                "ALTER ROLE {name} NOCREATEROLE",
                name = Ident(role.as_str())
            ),
        ],
        _ => Vec::new(),
    }
}
