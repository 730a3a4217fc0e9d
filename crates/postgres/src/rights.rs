//! What is granted in some schemas of a database, compared with what is to be granted there: one
//! statement, whose answer holds the differences only.
//! Never calls a function that it finds there: a tenant may have written it.

use std::collections::BTreeSet;

use engine::{
    mark::OF_ROLE_CLAIMS,
    names::{RoleName, SchemaName, SchemaRole},
    share::{Level, Object, SchemaGrant, Wanted},
};
use serde::Deserialize;
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use crate::{
    contents::MAINTAIN,
    error::Error,
    observe::MEMBERSHIP_OPTIONS,
    session::Session,
    sql::{Array, Keyword, Literal, Sql, sql},
};

/// What differs between the rights that are wanted and those that are granted.
#[derive(Debug, Deserialize)]
pub(crate) struct Difference {
    /// The roles that act here of which the admin is a member already.
    pub memberships: Vec<String>,
    pub missing: Vec<Right>,
    pub excess: Vec<Right>,
    pub missing_defaults: Vec<Default>,
    pub excess_defaults: Vec<Default>,
    /// Objects on which rights are missing that the admin can't grant, at most ten.
    pub unreachable: Vec<String>,
}

impl Difference {
    /// One plain sentence for each object, in the server's order.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> {
        let right = |verb: &str, right: &Right| {
            let role = right.role.as_deref().unwrap_or("PUBLIC");
            let object = <&str>::from(right.object);
            let rights = right.rights.join(", ");
            format!("{role} {verb} {rights} on {object} {}", right.title)
        };
        let default = |verb: &str, default: &Default| {
            let Default {
                creator,
                schema,
                object,
                role,
                rights,
            } = default;
            let object = <&str>::from(*object);
            let rights = rights.join(", ");
            format!("{role} {verb} {rights} on each {object} that {creator} will make in {schema}")
        };
        let missing = self.missing.iter().map(move |it| right("lacks", it));
        let excess = self.excess.iter().map(move |it| right("has", it));
        let no_defaults = self.missing_defaults.iter();
        let no_defaults = no_defaults.map(move |it| default("will lack", it));
        let defaults = self.excess_defaults.iter();
        let defaults = defaults.map(move |it| default("will have", it));
        missing.chain(excess).chain(no_defaults).chain(defaults)
    }
}

/// Rights on one object.
#[derive(Debug, Deserialize)]
pub(crate) struct Right {
    /// Who gives and takes them: the owner, or whoever granted what is too many.
    pub actor: String,
    #[serde(deserialize_with = "object")]
    pub object: Object,
    /// The object's name, in the server's own quotes.
    pub title: String,
    /// None means PUBLIC.
    pub role: Option<String>,
    pub rights: Vec<String>,
}

/// Rights on what somebody will make.
#[derive(Debug, Deserialize)]
pub(crate) struct Default {
    pub creator: String,
    pub schema: String,
    #[serde(deserialize_with = "object")]
    pub object: Object,
    pub role: String,
    pub rights: Vec<String>,
}

fn object<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(serde::de::Error::custom)
}

impl Session {
    /// Which of these schemas exist in the connected database, in exactly that spelling.
    pub async fn existing_schemas(
        &mut self,
        names: impl Iterator<Item = String>,
    ) -> Result<BTreeSet<String>, Error> {
        let names: Vec<_> = names.collect();
        let statement = sql!(
            "SELECT coalesce(json_agg(nspname), '[]')::text FROM pg_namespace WHERE nspname = ANY ({names})",
            names = Array::of(names.iter().map(String::as_str)),
        );
        let answer = self.ask(statement).await;
        answer
            .map_err(|kind| self.error(kind, format!("reading the schemas of {}", self.database())))
    }

    pub(crate) async fn observe_rights(&mut self, wanted: &Wanted) -> Result<Difference, Error> {
        let statement = statement(wanted, self.version());
        let answer = self.ask(statement).await;
        answer.map_err(|kind| {
            let title = format!("observing the rights of roles in {}", self.database());
            self.error(kind, title)
        })
    }
}

fn rights(level: Level, object: Object, version: u32) -> impl Iterator<Item = &'static str> {
    let all = level.rights(object).iter().copied();
    all.filter(move |right| *right != "MAINTAIN" || version >= MAINTAIN)
}

/// Rows of `role`, `schema`, `object`, `right`; `makers` where only their objects are meant.
fn wishes(wanted: &Wanted, version: u32) -> Vec<Value> {
    let mut rows = Vec::new();
    for SchemaGrant {
        schema,
        level,
        role,
    } in &wanted.grants
    {
        for object in Object::iter() {
            for right in rights(*level, object, version) {
                rows.push(json!({
                    "role": role.as_str(), "schema": schema.as_str(),
                    "object": <&str>::from(object), "right": right,
                }));
            }
        }
    }
    for (schema, makers) in &wanted.creators {
        for object in MADE {
            for right in rights(Level::Admin, object, version) {
                rows.push(json!({
                    "role": wanted.owner.as_str(), "schema": schema.as_str(),
                    "object": <&str>::from(object), "right": right, "makers": makers,
                }));
            }
        }
    }
    rows
}

/// What people make in a schema.
const MADE: [Object; 3] = [Object::Table, Object::Sequence, Object::Routine];

/// Rows of `creator`, `schema`, `object`, `role`, `right`.
fn defaults(wanted: &Wanted, version: u32) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut add = |creator: &str, schema: &SchemaName, level: Level, role: &str| {
        for object in MADE {
            for right in rights(level, object, version) {
                rows.push(json!({
                    "creator": creator, "schema": schema.as_str(), "role": role,
                    "object": <&str>::from(object), "right": right,
                }));
            }
        }
    };
    let none = BTreeSet::new();
    for SchemaGrant {
        schema,
        level,
        role,
    } in &wanted.grants
    {
        let makers = wanted.creators.get(schema).unwrap_or(&none);
        for creator in makers
            .iter()
            .map(String::as_str)
            .chain([wanted.owner.as_str()])
        {
            add(creator, schema, *level, role.as_str());
        }
    }
    for (schema, makers) in &wanted.creators {
        for creator in makers {
            add(creator, schema, Level::Admin, wanted.owner.as_str());
        }
    }
    rows
}

fn statement(wanted: &Wanted, version: u32) -> Sql {
    let roles = wanted.grants.iter().map(|grant| grant.role.as_str());
    let roles = roles.chain(wanted.cleared.iter().map(SchemaRole::as_str));
    let schemas: BTreeSet<_> = wanted
        .grants
        .iter()
        .map(|grant| grant.schema.as_str())
        .collect();
    let schemas: Vec<_> = schemas.into_iter().collect();
    sql!(
        "WITH wish AS MATERIALIZED (
  SELECT w.*, r.oid AS grantee
  FROM jsonb_to_recordset({wishes}::jsonb)
    AS w(role text, schema text, object text, \"right\" text, makers jsonb)
  JOIN pg_roles r ON r.rolname = w.role),
default_wish AS MATERIALIZED (
  SELECT w.*, r.oid AS grantee, c.oid AS maker, n.oid AS space,
    CASE w.object WHEN 'table' THEN 'r' WHEN 'sequence' THEN 'S' ELSE 'f' END AS kind
  FROM jsonb_to_recordset({defaults}::jsonb)
    AS w(creator text, schema text, object text, role text, \"right\" text)
  JOIN pg_roles r ON r.rolname = w.role
  JOIN pg_roles c ON c.rolname = w.creator
  JOIN pg_namespace n ON n.nspname = w.schema),
carrier AS MATERIALIZED (SELECT oid, rolname FROM pg_roles WHERE rolname = ANY ({roles})),
{objects},
{differences},
{answer}",
        wishes = Literal(&Value::from(wishes(wanted, version)).to_string()),
        defaults = Literal(&Value::from(defaults(wanted, version)).to_string()),
        roles = Array::of(roles),
        objects = objects(&schemas),
        differences = differences(&schemas, wanted.is_closed),
        answer = answer(&wanted.owner, version),
    )
}

/// The objects of these schemas, those on which a role has any right, and what is granted on them.
fn objects(schemas: &[&str]) -> Sql {
    sql!(
        "base AS (SELECT oid, datname, datdba, datacl FROM pg_database WHERE datname = current_database()),
held AS MATERIALIZED (
  SELECT DISTINCT d.classid, d.objid FROM pg_shdepend d JOIN carrier c ON c.oid = d.refobjid, base b
  WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'a' AND d.objsubid = 0
    AND (d.dbid = b.oid OR d.dbid = 0)),
objects AS MATERIALIZED (
  SELECT 'database' AS object, b.oid, NULL::text AS schema, quote_ident(b.datname) AS title,
    b.datdba AS owner, coalesce(b.datacl, acldefault('d', b.datdba)) AS acl
  FROM base b
UNION ALL
  SELECT 'schema', n.oid, n.nspname::text, quote_ident(n.nspname),
    CASE pg_get_userbyid(n.nspowner) WHEN 'pg_database_owner' THEN b.datdba ELSE n.nspowner END,
    coalesce(n.nspacl, acldefault('n', n.nspowner))
  FROM pg_namespace n, base b
  WHERE n.nspname = ANY ({schemas})
    OR EXISTS (SELECT FROM held h WHERE h.classid = 'pg_namespace'::regclass AND h.objid = n.oid)
UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.oid, n.nspname::text,
    format('%I.%I', n.nspname, c.relname), c.relowner,
    coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, c.relowner))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND (n.nspname = ANY ({schemas})
      OR EXISTS (SELECT FROM held h WHERE h.classid = 'pg_class'::regclass AND h.objid = c.oid))
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
      AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
  SELECT 'routine', p.oid, n.nspname::text, p.oid::regprocedure::text, p.proowner,
    coalesce(p.proacl, acldefault('f', p.proowner))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE (n.nspname = ANY ({schemas})
      OR EXISTS (SELECT FROM held h WHERE h.classid = 'pg_proc'::regclass AND h.objid = p.oid))
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
      AND d.objid = p.oid AND d.deptype = 'e')),
granted AS MATERIALIZED (
  SELECT o.object, o.oid, o.schema, o.title, a.grantor, a.grantee, a.privilege_type AS \"right\"
  FROM objects o, aclexplode(o.acl) AS a
  WHERE a.grantee = 0 OR a.grantee IN (SELECT grantee FROM wish UNION SELECT oid FROM carrier))",
        schemas = Array::of(schemas.iter().copied()),
    )
}

/// What is wished and not granted, and the other way round.
fn differences(schemas: &[&str], is_closed: bool) -> Sql {
    sql!(
        "missing AS MATERIALIZED (
  SELECT o.owner AS actor, o.object, o.title, w.role, w.\"right\",
    CASE o.object
      WHEN 'database' THEN has_database_privilege(w.grantee, o.oid, w.\"right\")
      WHEN 'schema' THEN has_schema_privilege(w.grantee, o.oid, w.\"right\")
      WHEN 'table' THEN has_table_privilege(w.grantee, o.oid, w.\"right\")
      WHEN 'sequence' THEN has_sequence_privilege(w.grantee, o.oid, w.\"right\")
      ELSE has_function_privilege(w.grantee, o.oid, w.\"right\") END AS is_had
  FROM wish w JOIN objects o ON o.object = w.object
    AND (o.schema = w.schema OR w.object = 'database')
    AND (w.makers IS NULL OR w.makers ? pg_get_userbyid(o.owner)::text)
  WHERE o.owner <> w.grantee AND NOT EXISTS (
    SELECT FROM granted g WHERE g.object = o.object AND g.oid = o.oid
      AND g.grantee = w.grantee AND g.\"right\" = w.\"right\")),
excess AS MATERIALIZED (
  SELECT g.grantor AS actor, g.object, g.title, c.rolname::text AS role, g.\"right\"
  FROM granted g LEFT JOIN carrier c ON c.oid = g.grantee
  WHERE CASE
    WHEN g.grantee = 0 THEN {is_closed} AND g.object IN ('schema', 'table', 'sequence')
      AND g.schema = ANY ({schemas})
      AND NOT (g.object = 'schema' AND g.schema = 'public' AND g.\"right\" = 'USAGE')
    ELSE c.oid IS NOT NULL AND NOT EXISTS (
      SELECT FROM wish w WHERE w.grantee = g.grantee AND w.object = g.object
        AND (w.schema = g.schema OR g.object = 'database') AND w.\"right\" = g.\"right\") END),
made AS MATERIALIZED (
  SELECT d.defaclrole AS maker, d.defaclnamespace AS space, d.defaclobjtype::text AS kind,
    a.grantee, a.privilege_type AS \"right\"
  FROM pg_default_acl d, aclexplode(d.defaclacl) AS a
  WHERE d.defaclobjtype IN ('r', 'S', 'f') AND d.defaclnamespace <> 0),
missing_defaults AS MATERIALIZED (
  SELECT w.creator, w.schema, w.object, w.role, w.\"right\" FROM default_wish w
  WHERE NOT EXISTS (SELECT FROM made m WHERE m.maker = w.maker AND m.space = w.space
    AND m.kind = w.kind AND m.grantee = w.grantee AND m.\"right\" = w.\"right\")),
excess_defaults AS MATERIALIZED (
  SELECT pg_get_userbyid(m.maker)::text AS creator, n.nspname::text AS schema,
    CASE m.kind WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' ELSE 'routine' END AS object,
    c.rolname::text AS role, m.\"right\"
  FROM made m JOIN carrier c ON c.oid = m.grantee JOIN pg_namespace n ON n.oid = m.space
  WHERE NOT EXISTS (SELECT FROM default_wish w WHERE m.maker = w.maker AND m.space = w.space
    AND m.kind = w.kind AND m.grantee = w.grantee AND m.\"right\" = w.\"right\"))",
        is_closed = Keyword(if is_closed { "true" } else { "false" }),
        schemas = Array::of(schemas.iter().copied()),
    )
}

/// The differences that somebody can settle, by who that is, and those that nobody can.
fn answer(owner: &RoleName, version: u32) -> Sql {
    let can_set = Keyword(if version >= MEMBERSHIP_OPTIONS {
        "SET"
    } else {
        "MEMBER"
    });
    sql!(
        "actor AS MATERIALIZED (
  SELECT r.oid, r.rolname::text AS name, pg_has_role(r.oid, '{can_set}') AS is_membership,
    pg_has_role(r.oid, '{can_set}') OR r.rolname = {owner}
      OR starts_with(shobj_description(r.oid, 'pg_authid'), {ours}) IS TRUE AS is_reachable
  FROM pg_roles r
  WHERE r.oid IN (SELECT actor FROM missing UNION SELECT actor FROM excess)
    OR r.rolname IN (SELECT creator FROM missing_defaults UNION SELECT creator FROM excess_defaults))
SELECT json_build_object(
  'memberships', (SELECT coalesce(json_agg(name), '[]') FROM actor WHERE is_membership),
  'missing', (SELECT coalesce(json_agg(q), '[]') FROM (
    SELECT a.name AS actor, m.object, m.title, m.role, array_agg(m.\"right\") AS rights
    FROM missing m JOIN actor a ON a.oid = m.actor AND a.is_reachable
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4, 3) AS q),
  'excess', (SELECT coalesce(json_agg(q), '[]') FROM (
    SELECT a.name AS actor, e.object, e.title, e.role, array_agg(e.\"right\") AS rights
    FROM excess e JOIN actor a ON a.oid = e.actor AND a.is_reachable
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4, 3) AS q),
  'missing_defaults', (SELECT coalesce(json_agg(q), '[]') FROM (
    SELECT creator, schema, object, role, array_agg(\"right\") AS rights
    FROM missing_defaults m JOIN actor a ON a.name = m.creator AND a.is_reachable
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4) AS q),
  'excess_defaults', (SELECT coalesce(json_agg(q), '[]') FROM (
    SELECT creator, schema, object, role, array_agg(\"right\") AS rights
    FROM excess_defaults e JOIN actor a ON a.name = e.creator AND a.is_reachable
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4) AS q),
  'unreachable', ARRAY(
    SELECT DISTINCT m.object || ' ' || m.title FROM missing m
    LEFT JOIN actor a ON a.oid = m.actor
    WHERE NOT coalesce(a.is_reachable, false) AND NOT m.is_had ORDER BY 1 LIMIT 10)
)::text",
        can_set = can_set,
        owner = Literal(owner.as_str()),
        ours = Literal(OF_ROLE_CLAIMS),
    )
}
