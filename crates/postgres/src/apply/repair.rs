//! Puts right what somebody changed by hand: attributes, memberships, a database's owner and what
//! PUBLIC may do there. Each statement names only what differs: an admin that is no superuser is
//! refused attributes that it may not give, also where they would not change.

use engine::{
    catalog::Catalog,
    names::{DatabaseName, RoleName},
    step::{Attribute, ServerStep},
};

use super::acting::{Acting, Reach};
use crate::{
    observe::MEMBERSHIP_OPTIONS,
    sql::{Ident, Keyword, Sql, sql},
};

/// Nothing for steps that are not of this kind.
pub(super) fn statements(step: &ServerStep, catalog: &Catalog) -> Vec<Sql> {
    match step {
        ServerStep::Alter { role, attribute } => vec![altering(role, *attribute)],
        ServerStep::LeaveRole {
            member,
            role,
            grantor,
        } => vec![revoking(role, member, grantor.as_deref(), catalog)],
        ServerStep::ReturnDatabase { database, role, .. } => returning(database, role, catalog),
        ServerStep::CloseDatabase { database, role, .. } => closing(database, role, catalog),
        _ => Vec::new(),
    }
}

fn altering(role: &str, attribute: Attribute) -> Sql {
    sql!(
        "ALTER ROLE {name} {attribute}",
        name = Ident(role),
        attribute = Keyword(match attribute {
            Attribute::NoLogin => "NOLOGIN",
            Attribute::NoSuperuser => "NOSUPERUSER",
            Attribute::NoCreateDb => "NOCREATEDB",
            Attribute::NoCreateRole => "NOCREATEROLE",
            Attribute::NoBypassRls => "NOBYPASSRLS",
            Attribute::NoReplication => "NOREPLICATION",
            Attribute::Inherit => "INHERIT",
            Attribute::NoExpiry => "VALID UNTIL 'infinity'",
        }),
    )
}

/// From 16 on, what another granted is taken only by naming it (manual, REVOKE).
fn revoking(role: &str, member: &str, grantor: Option<&str>, catalog: &Catalog) -> Sql {
    let (role, member) = (Ident(role), Ident(member));
    match grantor {
        Some(grantor) if catalog.version >= MEMBERSHIP_OPTIONS => sql!(
            "REVOKE {role} FROM {member} GRANTED BY {grantor}",
            role = role,
            member = member,
            grantor = Ident(grantor),
        ),
        _ => sql!("REVOKE {role} FROM {member}", role = role, member = member),
    }
}

fn returning(database: &DatabaseName, role: &RoleName, catalog: &Catalog) -> Vec<Sql> {
    let change = sql!(
        "ALTER DATABASE {name} OWNER TO {owner}",
        name = Ident(database.as_str()),
        owner = Ident(role.as_str()),
    );
    Acting::of(catalog).as_role(role.as_str(), Reach::GiveTo, vec![change])
}

fn closing(database: &DatabaseName, role: &RoleName, catalog: &Catalog) -> Vec<Sql> {
    let change = sql!(
        "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        name = Ident(database.as_str())
    );
    Acting::of(catalog).as_role(role.as_str(), Reach::Become, vec![change])
}
