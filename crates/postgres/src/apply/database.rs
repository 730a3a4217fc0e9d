//! A claim's database as a whole: giving it to its owner role, giving back what the role owns in
//! an adopted one, dropping it.

use engine::{
    catalog::Catalog,
    mark::Mark,
    names::{DatabaseName, RoleName},
};

use super::{
    Piece,
    acting::{Acting, Reach},
};
use crate::sql::{Ident, Literal, Sql, sql};

/// Marks a database, closes it to others, and makes `role` its owner. The admin keeps the rights
/// that it needs there to create extensions, and could not take back as a stranger.
pub(super) fn owning(
    database: &DatabaseName,
    role: &RoleName,
    mark: &Mark,
    catalog: &Catalog,
) -> Vec<Sql> {
    let acting = Acting::of(catalog);
    let (name, owner) = (Ident(database.as_str()), Ident(role.as_str()));
    let closing = vec![
        sql!(
            "COMMENT ON DATABASE {name} IS {mark}",
            name = name,
            mark = Literal(&mark.to_string())
        ),
        sql!(
            "REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC",
            name = name
        ),
    ];
    let mut keeping = Vec::new();
    if !acting.is_superuser() {
        keeping.push(sql!(
            "GRANT CONNECT, CREATE ON DATABASE {name} TO {admin}",
            name = name,
            admin = Ident(&catalog.admin.name),
        ));
    }
    let owned_by = catalog.database.as_ref().map(|found| found.owner.as_str());
    if owned_by == Some(role.as_str()) {
        let work = closing.into_iter().chain(keeping).collect();
        return acting.as_role(role.as_str(), Reach::Become, work);
    }
    let mut statements = closing;
    statements.extend(acting.as_role(
        role.as_str(),
        Reach::GiveTo,
        vec![sql!(
            "ALTER DATABASE {name} OWNER TO {owner}",
            name = name,
            owner = owner
        )],
    ));
    statements.extend(acting.as_role(role.as_str(), Reach::Become, keeping));
    statements
}

/// Gives what `role` owns in the connected database to `to`, the database's owner, and takes the
/// role's rights away. The admin needs the rights of both for that (manual, REASSIGN OWNED).
pub(super) fn handing_over(role: &RoleName, to: &str, catalog: &Catalog) -> Vec<Sql> {
    let acting = Acting::of(catalog);
    let name = Ident(role.as_str());
    let work = vec![
        sql!(
            "REASSIGN OWNED BY {role} TO {to}",
            role = name,
            to = Ident(to)
        ),
        sql!("DROP OWNED BY {role}", role = name),
    ];
    let work = acting.as_role(role.as_str(), Reach::Inherit, work);
    let owner = catalog.database.as_ref();
    let admin_owns = owner.is_some_and(|found| found.admin_owns && found.owner == to);
    if admin_owns || to == catalog.admin.name {
        work
    } else {
        acting.as_role(to, Reach::Inherit, work)
    }
}

/// Drops a database, sessions and all. The admin takes it back first: dropping is not allowed in
/// a transaction, and only a transaction can undo a membership for sure.
pub(super) fn dropping(database: &DatabaseName, catalog: &Catalog) -> Vec<Piece> {
    let acting = Acting::of(catalog);
    let name = Ident(database.as_str());
    let drop = sql!("DROP DATABASE IF EXISTS {name} WITH (FORCE)", name = name);
    let owner = catalog.database.as_ref().map(|found| found.owner.as_str());
    match owner {
        Some(owner) if !acting.is_superuser() && owner != catalog.admin.name => {
            let taking = sql!("ALTER DATABASE {name} OWNER TO CURRENT_USER", name = name);
            let taking = acting.as_role(owner, Reach::Inherit, vec![taking]);
            vec![Piece::Shared(taking), Piece::Alone(vec![drop])]
        }
        _ => vec![Piece::Alone(vec![drop])],
    }
}
