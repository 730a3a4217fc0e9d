//! Carries out the engine's steps inside a claim's own database: rights on what was there before
//! the owner role, extensions, system functions. What a server cannot install is reported, not an
//! error: the claim works without it.

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
    /// Does the steps: rights and functions as one transaction, extensions as another.
    pub async fn apply_contents(&mut self, steps: &[DatabaseStep]) -> Result<Vec<Failure>, Error> {
        let mut changes = Vec::new();
        let mut extensions = Vec::new();
        for step in steps {
            match step {
                DatabaseStep::Grant { role, grants } => {
                    changes.extend(granting(role, grants, self.database()));
                }
                DatabaseStep::CreateExtension { extension } => extensions.push(extension.as_str()),
                DatabaseStep::CreateSystemFunction {
                    schema,
                    name,
                    value,
                } => changes.extend(system_function(schema, name, value)),
            }
        }
        if !changes.is_empty() {
            let outcome = self.run(changes).await;
            outcome.map_err(|kind| {
                self.error(kind, format!("granting rights in {}", self.database()))
            })?;
        }
        self.create_extensions(&extensions).await
    }

    /// All at once; where that fails, one by one, to know which.
    async fn create_extensions(&mut self, extensions: &[&str]) -> Result<Vec<Failure>, Error> {
        if extensions.is_empty() {
            return Ok(Vec::new());
        }
        if extensions.len() > 1 && self.run(creating(extensions)).await.is_ok() {
            return Ok(Vec::new());
        }
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

/// The function's schema is closed to all but readers, whoever made it.
fn system_function(schema: &str, name: &str, value: &str) -> Vec<Sql> {
    let body = format!("{FUNCTION_BODY}{}", Literal(value));
    let schema = Ident(schema);
    let function = sql!("{schema}.{name}()", schema = schema, name = Ident(name));
    vec![
        sql!("CREATE SCHEMA IF NOT EXISTS {schema}", schema = schema),
        sql!("REVOKE ALL ON SCHEMA {schema} FROM PUBLIC", schema = schema),
        sql!("GRANT USAGE ON SCHEMA {schema} TO PUBLIC", schema = schema),
        sql!(
            "CREATE OR REPLACE FUNCTION {function} RETURNS text LANGUAGE sql IMMUTABLE \
             PARALLEL SAFE AS {body}",
            function = function.clone(),
            body = Literal(&body),
        ),
        sql!(
            "GRANT EXECUTE ON FUNCTION {function} TO PUBLIC",
            function = function
        ),
    ]
}
