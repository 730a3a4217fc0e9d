//! What a claim's own database says: extensions, system functions, and the rights that the owner
//! role lacks on what was there before it. One statement over a connection to that database.
//! Never calls a function that it finds there: a tenant may have written it.

use std::collections::BTreeMap;

use engine::{
    catalog::{Contents, Extension, Grant},
    names::RoleName,
    wishes::SystemFunction,
};
use serde::Deserialize;

use crate::{
    error::Error,
    session::Session,
    sql::{Array, Keyword, Literal, Sql, sql},
};

/// From here on, tables have the right MAINTAIN (release notes of 17).
pub(crate) const MAINTAIN: u32 = 170_000;

/// The body of a system function is this and one literal.
pub(crate) const FUNCTION_BODY: &str = "SELECT ";

impl Session {
    /// Asks which of `extensions` and of `functions` are there, and which rights `role` lacks.
    /// What belongs to an extension is left as the extension grants it.
    pub async fn observe_contents(
        &mut self,
        role: &RoleName,
        extensions: &[String],
        functions: &[SystemFunction],
    ) -> Result<Contents, Error> {
        let statement = statement(role, extensions, functions, self.version());
        let answer = self.ask::<Answer>(statement).await;
        answer
            .map(Answer::into_contents)
            .map_err(|kind| self.error(kind, format!("observing the rights of {role}")))
    }
}

fn statement(
    role: &RoleName,
    extensions: &[String],
    functions: &[SystemFunction],
    version: u32,
) -> Sql {
    let table_rights = Keyword(if version >= MAINTAIN {
        "'{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,MAINTAIN}'"
    } else {
        "'{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'"
    });
    let functions: Vec<String> = functions
        .iter()
        .map(|SystemFunction { schema, name, .. }| format!("{schema}.{name}"))
        .collect();
    // The planner's order does not matter for the rights: each object's are asked one by one, and
    // only those that the role lacks are asked again for the admin.
    sql!(
        "WITH owner AS MATERIALIZED (SELECT (SELECT oid FROM pg_roles WHERE rolname = {role}) AS oid),
objects AS (
  SELECT 'database' AS kind, d.datname::text AS name, false AS is_extension,
    bool_and(has_database_privilege(d.oid, p || ' WITH GRANT OPTION')) AS can_grant
  FROM owner o, pg_database d, unnest('{{CREATE,CONNECT,TEMPORARY}}'::text[]) AS p
  WHERE d.datname = current_database()
    AND NOT coalesce(has_database_privilege(o.oid, d.oid, p), false)
    AND NOT coalesce(pg_has_role(o.oid, d.datdba, 'USAGE'), false)
  GROUP BY d.oid, d.datname
UNION ALL
  SELECT 'schema', n.nspname::text, false,
    bool_and(has_schema_privilege(n.oid, p || ' WITH GRANT OPTION'))
  FROM owner o, pg_namespace n, unnest('{{CREATE,USAGE}}'::text[]) AS p
  WHERE n.nspname = 'public'
    AND NOT coalesce(has_schema_privilege(o.oid, n.oid, p), false)
    AND NOT coalesce(pg_has_role(o.oid, n.nspowner, 'USAGE'), false)
  GROUP BY n.oid, n.nspname
UNION ALL
  SELECT 'table', c.relname::text, {is_extension},
    bool_and(has_table_privilege(c.oid, p || ' WITH GRANT OPTION'))
  FROM owner o, pg_class c, unnest({table_rights}::text[]) AS p
  WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND NOT coalesce(has_table_privilege(o.oid, c.oid, p), false)
    AND NOT coalesce(pg_has_role(o.oid, c.relowner, 'USAGE'), false)
  GROUP BY c.oid, c.relname
UNION ALL
  SELECT 'sequence', c.relname::text, {is_extension},
    bool_and(has_sequence_privilege(c.oid, p || ' WITH GRANT OPTION'))
  FROM owner o, pg_class c, unnest('{{USAGE,SELECT,UPDATE}}'::text[]) AS p
  WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public') AND c.relkind = 'S'
    AND NOT coalesce(has_sequence_privilege(o.oid, c.oid, p), false)
    AND NOT coalesce(pg_has_role(o.oid, c.relowner, 'USAGE'), false)
  GROUP BY c.oid, c.relname
)
SELECT json_build_object(
  'missing', (
    SELECT coalesce(json_agg(json_build_array(kind, name) ORDER BY kind, name), '[]')
    FROM objects WHERE can_grant AND NOT is_extension),
  'unreachable', ARRAY(
    SELECT CASE kind WHEN 'database' THEN 'database ' || name WHEN 'schema' THEN 'schema ' || name
      ELSE 'public.' || name END
    FROM objects WHERE NOT can_grant AND NOT is_extension ORDER BY 1 LIMIT 10),
  'extensions', {extensions},
  'functions', (
    SELECT coalesce(json_object_agg(n.nspname || '.' || p.proname, p.prosrc), '{{}}')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.pronargs = 0 AND n.nspname || '.' || p.proname = ANY ({functions}))
)::text",
        role = Literal(role.as_str()),
        is_extension = Keyword(
            "EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
             AND d.objid = c.oid AND d.deptype = 'e')"
        ),
        table_rights = table_rights,
        extensions = extensions_document(extensions),
        functions = Array::of(functions.iter().map(String::as_str)),
    )
}

/// Knowing what could be installed means reading files on the server: done once, and only if
/// something is not installed.
fn extensions_document(extensions: &[String]) -> Sql {
    let wanted = Array::of(extensions.iter().map(String::as_str));
    sql!(
        "(
    WITH available AS MATERIALIZED (
      SELECT v.name, NOT v.superuser OR v.trusted AS is_trusted, NOT v.superuser OR r.rolsuper
        OR v.trusted AND has_database_privilege(current_database(), 'CREATE') AS can_install
      FROM pg_available_extensions() AS a
        JOIN pg_available_extension_versions() AS v
          ON v.name = a.name AND v.version = a.default_version
        JOIN pg_roles r ON r.rolname = current_user
    )
    SELECT coalesce(json_object_agg(name, json_build_object(
      'is_installed', is_installed, 'can_install', can_install, 'is_trusted', is_trusted)), '{{}}')
    FROM (
      SELECT w.name, e.oid IS NOT NULL AS is_installed,
        CASE WHEN e.oid IS NOT NULL THEN true
          ELSE (SELECT a.can_install FROM available a WHERE a.name = w.name) END AS can_install,
        CASE WHEN e.oid IS NOT NULL THEN true
          ELSE (SELECT a.is_trusted FROM available a WHERE a.name = w.name) END AS is_trusted
      FROM unnest({wanted}) AS w (name) LEFT JOIN pg_extension e ON e.extname = w.name
    ) AS found
    WHERE can_install IS NOT NULL)",
        wanted = wanted,
    )
}

#[derive(Deserialize)]
struct Answer {
    missing: Vec<(Object, String)>,
    unreachable: Vec<String>,
    extensions: BTreeMap<String, ExtensionAnswer>,
    functions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Object {
    Database,
    Schema,
    Table,
    Sequence,
}

#[derive(Deserialize)]
struct ExtensionAnswer(#[serde(with = "ExtensionFields")] Extension);

#[derive(Deserialize)]
#[serde(remote = "Extension")]
struct ExtensionFields {
    is_installed: bool,
    can_install: bool,
    is_trusted: bool,
}

impl Answer {
    fn into_contents(self) -> Contents {
        let Self {
            missing,
            unreachable,
            extensions,
            functions,
        } = self;
        let grant = |(object, name)| match object {
            Object::Database => Grant::Database,
            Object::Schema => Grant::Schema,
            Object::Table => Grant::Table(name),
            Object::Sequence => Grant::Sequence(name),
        };
        Contents {
            extensions: extensions
                .into_iter()
                .map(|(name, ExtensionAnswer(extension))| (name, extension))
                .collect(),
            missing_grants: missing.into_iter().map(grant).collect(),
            unreachable_objects: unreachable,
            system_functions: functions
                .into_iter()
                .map(|(name, body)| (name, returned_text(&body).unwrap_or(body)))
                .collect(),
        }
    }
}

/// The text that a function of ours returns, read out of its body. A body of another form stands
/// for itself: it differs from any text that is wanted.
fn returned_text(body: &str) -> Option<String> {
    let literal = body.trim().strip_prefix(FUNCTION_BODY)?;
    let (literal, has_escapes) = match literal.strip_prefix('E') {
        Some(literal) => (literal, true),
        None => (literal, false),
    };
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    let text = inner.replace("''", "'");
    Some(if has_escapes {
        text.replace(r"\\", r"\")
    } else {
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_text_is_read_back_from_its_body() {
        for text in ["", "prod", "it's", r"back\slash", r"\'", "a''b"] {
            let body = format!("{FUNCTION_BODY}{}", Literal(text));
            assert_eq!(returned_text(&body).as_deref(), Some(text));
        }
        assert_eq!(returned_text("SELECT version()"), None);
    }
}
