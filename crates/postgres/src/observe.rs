//! What a server says about one claim's roles and database: one statement, one JSON document.
//! Reads `pg_roles`, never `pg_authid`: an admin that is no superuser sees no passwords.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    catalog::{Admin, Catalog, Database, Membership, Question, Role, Session as LoginSession},
    names::{DatabaseName, Login},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::{
    error::{Error, Kind},
    session::Session,
    sql::{Array, Keyword, Literal, Sql, listed, sql},
};

/// From here on, membership has the options INHERIT and SET apart (release notes of 16).
pub(crate) const MEMBERSHIP_OPTIONS: u32 = 160_000;

impl Session {
    /// Asks for everything that a decision about a claim needs from its server.
    pub async fn observe(&mut self, question: &Question) -> Result<Catalog, Error> {
        let statement = statement(question, self.version());
        let outcome = self.ask::<Answer>(statement).await;
        outcome
            .and_then(Answer::into_catalog)
            .map_err(|kind| self.error(kind, format!("observing database {}", question.database)))
    }
}

/// A session in `pg_stat_activity`, for [`SessionAnswer`].
pub(crate) const SESSION: &str = "json_build_object(
      'login', usename, 'pid', pid, 'client', host(client_addr), 'since', backend_start)";

fn statement(question: &Question, version: u32) -> Sql {
    let Question {
        roles,
        logins,
        database,
        others: _,
        copies: _,
    } = question;
    let has_options = version >= MEMBERSHIP_OPTIONS;
    let can_set = Keyword(if has_options { "SET" } else { "MEMBER" });
    let out_of_reach = Keyword(if has_options {
        "NOT pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')"
    } else {
        "false"
    });
    sql!(
        "SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'admin', (
    SELECT json_build_object(
      'name', rolname,
      'is_superuser', rolsuper,
      'can_create_roles', rolcreaterole,
      'can_create_databases', rolcreatedb,
      'has_replication', rolreplication,
      'bypasses_row_security', rolbypassrls)
    FROM pg_roles WHERE rolname = current_user),
  'roles', (
    SELECT coalesce(json_object_agg(r.rolname, json_build_object(
      'can_login', r.rolcanlogin,
      'is_superuser', r.rolsuper,
      'has_replication', r.rolreplication,
      'can_create_roles', r.rolcreaterole,
      'can_create_databases', r.rolcreatedb,
      'bypasses_row_security', r.rolbypassrls,
      'is_noinherit', NOT r.rolinherit,
      'expires', coalesce(r.rolvaliduntil < 'infinity', false),
      'is_out_of_reach', {out_of_reach},
      'connection_limit', nullif(r.rolconnlimit, -1),
      'member_of', ARRAY(
        SELECT DISTINCT g.rolname::text COLLATE \"C\"
        FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
        WHERE m.member = r.oid AND coalesce((to_jsonb(m)->>'set_option')::bool, true)
          AND coalesce((to_jsonb(m)->>'inherit_option')::bool, true)
        ORDER BY 1),
      'members', ARRAY(
        SELECT DISTINCT g.rolname::text COLLATE \"C\"
        FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.member
        WHERE m.roleid = r.oid AND g.rolname <> current_user ORDER BY 1),
      'search_path', (
        SELECT substr(setting, 13) FROM unnest(r.rolconfig) AS setting
        WHERE starts_with(setting, 'search_path=')),
      'session_role', (
        SELECT substr(setting, 6) FROM unnest(r.rolconfig) AS setting
        WHERE starts_with(setting, 'role=')),
      'comment', shobj_description(r.oid, 'pg_authid'),
      'admin_is_member', pg_has_role(r.oid, '{can_set}'))), '{{}}')
    FROM pg_roles r WHERE r.rolname = ANY ({roles})),
  'memberships', {memberships},
  'database', {found},
  'sessions', (
    SELECT coalesce(json_agg({session} ORDER BY pid), '[]')
    FROM pg_stat_activity WHERE usename = ANY ({logins})),
  'has_rds_replication', EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication'),
  'has_rds_superuser', EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_superuser'),
  'grants_rds_superuser', {grants}
)::text",
        can_set = can_set,
        out_of_reach = out_of_reach,
        memberships = memberships(roles, version),
        found = found(database, can_set),
        grants = grants(version),
        session = Keyword(SESSION),
        roles = Array::of(roles.iter().map(String::as_str)),
        logins = Array::of(logins.iter().map(Login::as_str)),
    )
}

/// Whether the admin may grant the power of a cloud's superuser. Before 16, CREATEROLE was enough to
/// grant any role that is no superuser.
fn grants(version: u32) -> Sql {
    let creators_grant = Keyword(if version >= MEMBERSHIP_OPTIONS {
        "false"
    } else {
        "me.rolcreaterole"
    });
    sql!(
        "(
    SELECT pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') OR me.rolsuper OR {creators_grant}
    FROM pg_roles r, pg_roles me
    WHERE r.rolname = 'rds_superuser' AND me.rolname = current_user)",
        creators_grant = creators_grant,
    )
}

/// Who is a member of what, among these roles and their neighbours.
fn memberships(roles: &[String], version: u32) -> Sql {
    let may_revoke = Keyword(if version >= MEMBERSHIP_OPTIONS {
        "pg_has_role(m.roleid, 'MEMBER WITH ADMIN OPTION') AND pg_has_role(m.grantor, 'USAGE')"
    } else {
        "NOT g.rolsuper"
    });
    sql!(
        "(
    SELECT coalesce(json_agg(json_build_object(
      'role', g.rolname,
      'member', u.rolname,
      'grantor', pg_get_userbyid(m.grantor),
      'admin_may_revoke', {may_revoke})
      ORDER BY g.rolname, u.rolname, pg_get_userbyid(m.grantor)), '[]')
    FROM pg_auth_members m
      JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
    WHERE (g.rolname = ANY ({roles}) OR u.rolname = ANY ({roles})) AND u.rolname <> current_user
      AND (coalesce((to_jsonb(m)->>'set_option')::bool, true)
        OR coalesce((to_jsonb(m)->>'inherit_option')::bool, true)))",
        may_revoke = may_revoke,
        roles = Array::of(roles.iter().map(String::as_str)),
    )
}

fn found(database: &DatabaseName, can_set: Keyword) -> Sql {
    sql!(
        "(
    SELECT json_build_object(
      'owner', pg_get_userbyid(datdba),
      'comment', shobj_description(oid, 'pg_database'),
      'public_rights', ARRAY(
        SELECT DISTINCT privilege_type COLLATE \"C\"
        FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))
        WHERE grantee = 0 AND grantor = datdba ORDER BY 1),
      'admin_owns', pg_has_role(datdba, '{can_set}'))
    FROM pg_database WHERE datname = {database})",
        can_set = can_set,
        database = Literal(database.as_str()),
    )
}

#[derive(Deserialize)]
struct Answer {
    version: u32,
    #[serde(with = "AdminAnswer")]
    admin: Admin,
    roles: BTreeMap<String, RoleAnswer>,
    memberships: Vec<MembershipAnswer>,
    database: Option<DatabaseAnswer>,
    sessions: Vec<SessionAnswer>,
    has_rds_replication: bool,
    has_rds_superuser: bool,
    grants_rds_superuser: Option<bool>,
}

#[derive(Deserialize)]
#[serde(remote = "Admin")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a mirror of the catalog's facts"
)]
struct AdminAnswer {
    name: String,
    is_superuser: bool,
    can_create_roles: bool,
    can_create_databases: bool,
    has_replication: bool,
    bypasses_row_security: bool,
}

#[derive(Deserialize)]
struct MembershipAnswer(#[serde(with = "MembershipFields")] Membership);

#[derive(Deserialize)]
#[serde(remote = "Membership")]
struct MembershipFields {
    role: String,
    member: String,
    grantor: String,
    admin_may_revoke: bool,
}

#[derive(Deserialize)]
struct RoleAnswer(#[serde(with = "RoleFields")] Role);

#[derive(Deserialize)]
#[serde(remote = "Role")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a mirror of the catalog's facts"
)]
struct RoleFields {
    can_login: bool,
    is_superuser: bool,
    has_replication: bool,
    can_create_roles: bool,
    can_create_databases: bool,
    bypasses_row_security: bool,
    is_noinherit: bool,
    expires: bool,
    is_out_of_reach: bool,
    connection_limit: Option<i32>,
    member_of: Vec<String>,
    members: Vec<String>,
    #[serde(deserialize_with = "names")]
    search_path: Vec<String>,
    session_role: Option<String>,
    comment: Option<String>,
    admin_is_member: bool,
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Option::<String>::deserialize(deserializer)?;
    Ok(listed(&list.unwrap_or_default()))
}

#[derive(Deserialize)]
struct DatabaseAnswer(#[serde(with = "DatabaseFields")] Database);

#[derive(Deserialize)]
#[serde(remote = "Database")]
struct DatabaseFields {
    owner: String,
    comment: Option<String>,
    admin_owns: bool,
    public_rights: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct SessionAnswer {
    login: String,
    pid: i32,
    client: Option<String>,
    since: Option<Timestamp>,
}

impl Answer {
    fn into_catalog(self) -> Result<Catalog, Kind> {
        let Self {
            version,
            admin,
            roles,
            memberships,
            database,
            sessions,
            has_rds_replication,
            has_rds_superuser,
            grants_rds_superuser,
        } = self;
        let roles = roles
            .into_iter()
            .map(|(name, RoleAnswer(role))| (name, role));
        Ok(Catalog {
            version,
            admin,
            roles: roles.collect(),
            copies: BTreeMap::new(),
            memberships: memberships
                .into_iter()
                .map(|MembershipAnswer(membership)| membership)
                .collect(),
            database: database.map(|DatabaseAnswer(database)| database),
            databases: BTreeMap::new(),
            sessions: self::sessions(sessions)?,
            has_rds_replication,
            has_rds_superuser,
            grants_rds_superuser: grants_rds_superuser.unwrap_or_default(),
            unsupported: BTreeSet::new(),
        })
    }
}

pub(crate) fn sessions(all: Vec<SessionAnswer>) -> Result<Vec<LoginSession>, Kind> {
    let all = all.into_iter().map(|answer| {
        let login = Login::try_from(answer.login);
        Ok(LoginSession {
            login: login.map_err(|err| Kind::Answer(err.to_string()))?,
            pid: answer.pid,
            client: answer.client,
            since: answer.since,
        })
    });
    all.collect()
}
