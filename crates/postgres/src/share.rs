//! Brings the rights of role claims in a shared database to what is wanted: exactly those, and
//! each change made as the one whose object it is.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    catalog::Catalog,
    names::SchemaName,
    share::{Object, Wanted},
};

use crate::{
    apply::acting::{Acting, Reach},
    error::Error,
    rights::{Default, Difference, Right},
    session::Session,
    sql::{Ident, Keyword, List, Quoted, Sql, sql},
};

/// What was done to the rights in a shared database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shared {
    /// Schemas that were made now.
    pub made: Vec<SchemaName>,
    /// How many objects got rights, and how many lost some.
    pub granted: usize,
    pub revoked: usize,
    /// Objects on which rights are missing that the admin can't grant, at most ten.
    pub unreachable: Vec<String>,
    /// What differs and was only looked at, as plain sentences.
    pub left: Vec<String>,
}

impl Session {
    /// Compares what [`Session::share`] would change, and changes nothing.
    pub async fn compare_share(
        &mut self,
        wanted: &Wanted,
        existing: &BTreeSet<String>,
    ) -> Result<Shared, Error> {
        let missing = missing_schemas(wanted, existing);
        let missing = missing
            .iter()
            .map(|name| format!("schema {name} is missing"));
        let difference = self.observe_rights(wanted).await?;
        Ok(Shared {
            left: missing.chain(difference.sentences()).collect(),
            unreachable: difference.unreachable,
            ..Shared::default()
        })
    }

    /// Makes the schemas that are missing, and every right what it is to be. To be called over a
    /// connection to the shared database; `existing` tells which schemas it has.
    pub async fn share(
        &mut self,
        wanted: &Wanted,
        existing: &BTreeSet<String>,
        catalog: &Catalog,
    ) -> Result<Shared, Error> {
        let made = missing_schemas(wanted, existing);
        if !made.is_empty() {
            let owner = wanted.owner.as_str();
            let create = |name: &SchemaName| {
                sql!(
                    "CREATE SCHEMA IF NOT EXISTS {name}",
                    name = Ident(name.as_str())
                )
            };
            let statements = made.iter().map(create).collect();
            let statements = Acting::of(catalog).as_role(owner, Reach::Become, statements);
            let outcome = self.run(statements).await;
            outcome.map_err(|kind| self.error(kind, format!("making schemas as {owner}")))?;
        }
        let difference = self.observe_rights(wanted).await?;
        let statements = statements(&difference, catalog);
        if !statements.is_empty() {
            let outcome = self.run(statements).await;
            outcome.map_err(|kind| {
                let title = format!("changing the rights of roles in {}", self.database());
                self.error(kind, title)
            })?;
        }
        Ok(Shared {
            made,
            granted: difference.missing.len(),
            revoked: difference.excess.len(),
            unreachable: difference.unreachable,
            left: Vec::new(),
        })
    }
}

fn missing_schemas(wanted: &Wanted, existing: &BTreeSet<String>) -> Vec<SchemaName> {
    let schemas = wanted.grants.iter().map(|grant| grant.schema.clone());
    let mut missing: Vec<_> = schemas
        .filter(|name| !existing.contains(name.as_str()))
        .collect();
    missing.dedup();
    missing
}

/// All changes, those of one actor together.
fn statements(difference: &Difference, catalog: &Catalog) -> Vec<Sql> {
    let mut work: BTreeMap<&str, Vec<Sql>> = BTreeMap::new();
    for right in &difference.excess {
        let changes = work.entry(&right.actor).or_default();
        changes.push(on_object("REVOKE", "FROM", right));
    }
    for default in &difference.excess_defaults {
        let changes = work.entry(&default.creator).or_default();
        changes.push(on_future("REVOKE", "FROM", default));
    }
    for right in &difference.missing {
        let changes = work.entry(&right.actor).or_default();
        changes.push(on_object("GRANT", "TO", right));
    }
    for default in &difference.missing_defaults {
        let changes = work.entry(&default.creator).or_default();
        changes.push(on_future("GRANT", "TO", default));
    }
    let memberships = difference.memberships.iter().map(String::as_str);
    let acting = Acting::with(catalog, memberships);
    let work = work.into_iter();
    work.flat_map(|(actor, changes)| acting.as_role(actor, Reach::Become, changes))
        .collect()
}

fn on_object(change: &'static str, direction: &'static str, right: &Right) -> Sql {
    let role = right.role.as_deref();
    let role = role.map_or(sql!("PUBLIC"), |role| sql!("{role}", role = Ident(role)));
    sql!(
        "{change} {rights} ON {object} {title} {direction} {role}",
        change = Keyword(change),
        rights = listed(&right.rights),
        object = Keyword(match right.object {
            Object::Database => "DATABASE",
            Object::Schema => "SCHEMA",
            Object::Table => "TABLE",
            Object::Sequence => "SEQUENCE",
            Object::Routine => "ROUTINE",
        }),
        title = Quoted(right.title.clone()),
        direction = Keyword(direction),
        role = role,
    )
}

fn on_future(change: &'static str, direction: &'static str, default: &Default) -> Sql {
    sql!(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {creator} IN SCHEMA {schema} \
         {change} {rights} ON {objects} {direction} {role}",
        creator = Ident(&default.creator),
        schema = Ident(&default.schema),
        change = Keyword(change),
        rights = listed(&default.rights),
        objects = Keyword(match default.object {
            Object::Sequence => "SEQUENCES",
            Object::Routine => "ROUTINES",
            Object::Database | Object::Schema | Object::Table => "TABLES",
        }),
        direction = Keyword(direction),
        role = Ident(&default.role),
    )
}

/// The names of rights as the server's catalog has them.
fn listed(rights: &[String]) -> List<Quoted> {
    List(rights.iter().cloned().map(Quoted).collect())
}
