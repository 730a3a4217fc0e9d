//! Carries out the engine's steps inside a claim's own database: rights on what was there before
//! the owner role, extensions, system functions. What a server cannot install is reported, not an
//! error: the claim works without it.

use std::collections::BTreeMap;

use engine::{catalog::Grant, names::RoleName, step::DatabaseStep};

use crate::{
    contents::FUNCTION_BODY,
    error::{Error, Kind},
    session::Session,
    sql::{Ident, List, Literal, Sql, sql},
};

/// An extension that could not be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub extension: String,
    pub reason: Error,
}

impl Session {
    /// Does the steps as one transaction where the server lets it; else rights and functions as
    /// one, and each extension as another, to know which it refuses.
    pub async fn apply_contents(&mut self, steps: &[DatabaseStep]) -> Result<Vec<Failure>, Error> {
        let extensions: Vec<&str> = steps.iter().filter_map(extension).collect();
        let changes = changes(steps, self.database());
        if extensions.is_empty() {
            self.change(changes).await?;
            return Ok(Vec::new());
        }
        let all = changes.iter().cloned().chain(creating(&extensions));
        if self.run(all).await.is_ok() {
            return Ok(Vec::new());
        }
        self.change(changes).await?;
        self.create_each(&extensions).await
    }

    async fn change(&mut self, changes: Vec<Sql>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let outcome = self.run(changes).await;
        outcome.map_err(|kind| self.error(kind, format!("granting rights in {}", self.database())))
    }

    async fn create_each(&mut self, extensions: &[&str]) -> Result<Vec<Failure>, Error> {
        let mut failures = Vec::new();
        for extension in extensions {
            let Err(kind) = self.run(creating(&[extension])).await else {
                continue;
            };
            let is_gone = matches!(kind, Kind::Unreachable(_) | Kind::TimedOut(_));
            let reason = self.error(kind, format!("creating extension {extension}"));
            if is_gone {
                return Err(reason);
            }
            failures.push(Failure {
                extension: (*extension).to_owned(),
                reason,
            });
        }
        Ok(failures)
    }
}

fn extension(step: &DatabaseStep) -> Option<&str> {
    match step {
        DatabaseStep::CreateExtension { extension } => Some(extension),
        DatabaseStep::Grant { .. } | DatabaseStep::CreateSystemFunction { .. } => None,
    }
}

/// Rights, then functions: those of one schema together.
fn changes(steps: &[DatabaseStep], database: &str) -> Vec<Sql> {
    let mut statements = Vec::new();
    let mut functions: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for step in steps {
        match step {
            DatabaseStep::Grant { role, grants } => {
                statements.extend(granting(role, grants, database));
            }
            DatabaseStep::CreateExtension { .. } => {}
            DatabaseStep::CreateSystemFunction {
                schema,
                name,
                value,
            } => functions.entry(schema).or_default().push((name, value)),
        }
    }
    let functions = functions
        .into_iter()
        .flat_map(|(schema, functions)| system_functions(schema, &functions));
    statements.extend(functions);
    statements
}

/// In schema `public`, unless the extension insists on another; our own search path has none.
fn creating(extensions: &[&str]) -> Vec<Sql> {
    let create = |extension: &&str| {
        sql!(
            "CREATE EXTENSION IF NOT EXISTS {name} CASCADE",
            name = Ident(extension)
        )
    };
    let path = sql!("SET LOCAL search_path TO public");
    std::iter::once(path)
        .chain(extensions.iter().map(create))
        .collect()
}

fn granting(role: &RoleName, grants: &[Grant], database: &str) -> Vec<Sql> {
    let owner = Ident(role.as_str());
    let (mut tables, mut sequences, mut statements) = (Vec::new(), Vec::new(), Vec::new());
    for grant in grants {
        match grant {
            Grant::Database => statements.push(sql!(
                "GRANT ALL ON DATABASE {database} TO {owner}",
                database = Ident(database),
                owner = owner,
            )),
            Grant::Schema => {
                statements.push(sql!("GRANT ALL ON SCHEMA public TO {owner}", owner = owner));
            }
            Grant::Table(table) => tables.push(in_public(table)),
            Grant::Sequence(sequence) => sequences.push(in_public(sequence)),
        }
    }
    if !tables.is_empty() {
        statements.push(sql!(
            "GRANT ALL ON TABLE {tables} TO {owner}",
            tables = List(tables),
            owner = owner,
        ));
    }
    if !sequences.is_empty() {
        statements.push(sql!(
            "GRANT ALL ON SEQUENCE {sequences} TO {owner}",
            sequences = List(sequences),
            owner = owner,
        ));
    }
    statements
}

fn in_public(name: &str) -> Sql {
    sql!("public.{name}", name = Ident(name))
}

/// The functions' schema is closed to all but readers, whoever made it.
fn system_functions(schema: &str, functions: &[(&str, &str)]) -> Vec<Sql> {
    let schema = Ident(schema);
    let function = |name| sql!("{schema}.{name}()", schema = schema, name = Ident(name));
    let mut statements = vec![
        sql!("CREATE SCHEMA IF NOT EXISTS {schema}", schema = schema),
        sql!("REVOKE ALL ON SCHEMA {schema} FROM PUBLIC", schema = schema),
        sql!("GRANT USAGE ON SCHEMA {schema} TO PUBLIC", schema = schema),
    ];
    for (name, value) in functions {
        let body = format!("{FUNCTION_BODY}{}", Literal(value));
        statements.push(sql!(
            "CREATE OR REPLACE FUNCTION {function} RETURNS text LANGUAGE sql IMMUTABLE \
             PARALLEL SAFE AS {body}",
            function = function(name),
            body = Literal(&body),
        ));
    }
    statements.push(sql!(
        "GRANT EXECUTE ON FUNCTION {functions} TO PUBLIC",
        functions = List(functions.iter().map(|(name, _)| function(name)).collect()),
    ));
    statements
}
