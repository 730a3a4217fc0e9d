//! What a database server says about a claim's roles and database: facts only, no judgement.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;

use crate::{
    address::Engine,
    mark::Mark,
    names::{DatabaseName, Login},
};

/// The answer to one [`Question`], true at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// `server_version_num`, for example 150020 for 15.20; of MongoDB 6.0.5 it is 60005.
    pub version: u32,
    pub admin: Admin,
    /// Those of the roles asked for that exist, by name.
    pub roles: BTreeMap<String, Role>,
    /// MongoDB: those of the logins that exist in further databases, by database.
    pub copies: BTreeMap<String, BTreeMap<String, Role>>,
    /// PostgreSQL: who is a member of the roles asked for, and of what these are members, but for
    /// the admin itself. Only what lets somebody use a role's rights.
    pub memberships: Vec<Membership>,
    /// The database asked for, where it exists.
    pub database: Option<Database>,
    /// MongoDB: those of the databases asked for that hold data or are reserved for a claim. The
    /// reservation is the mark.
    pub databases: BTreeMap<DatabaseName, Database>,
    /// Live sessions of the logins asked for.
    pub sessions: Vec<Session>,
    /// Whether the server has the roles that clouds grant instead of attributes.
    pub has_rds_replication: bool,
    pub has_rds_superuser: bool,
    /// Whether the admin may give `rds_superuser` to others, and take it back.
    pub grants_rds_superuser: bool,
    /// MongoDB: what this server is known to lack.
    pub unsupported: BTreeSet<Feature>,
}

impl Catalog {
    /// The login in one of the further databases.
    pub fn copy(&self, database: &str, login: &Login) -> Option<&Role> {
        self.copies.get(database)?.get(login.as_str())
    }

    /// The further databases in which the login carries a mark that `is_ours`.
    pub fn copies_of(&self, login: &Login, is_ours: impl Fn(&Mark) -> bool) -> Vec<String> {
        let is_ours = |role: &Role| role.mark().is_some_and(|mark| is_ours(&mark));
        let all = self.copies.iter();
        all.filter(|(_, roles)| roles.get(login.as_str()).is_some_and(is_ours))
            .map(|(database, _)| database.clone())
            .collect()
    }

    /// The version as people write it: `16.4` of 160004, of MongoDB `6.0.5` of 60005.
    pub fn version_text(&self, engine: Engine) -> String {
        let (major, rest) = (self.version / 10_000, self.version % 10_000);
        match engine {
            Engine::Postgres => format!("{major}.{rest}"),
            Engine::Mongo => format!("{major}.{}.{}", rest / 100, rest % 100),
        }
    }
}

/// What the services that speak MongoDB's protocol do not all offer for logins. Named as the field of
/// the commands `createUser` and `updateUser`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "camelCase")]
pub enum Feature {
    /// Notes on a login: without them its mark stands in a document.
    CustomData,
    /// A choice of mechanisms: without it a login has the server's own.
    Mechanisms,
}

/// What is asked of a server: at most the roles and the database of one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub roles: Vec<String>,
    pub logins: Vec<Login>,
    pub database: DatabaseName,
    /// Further databases of the claim.
    pub others: Vec<DatabaseName>,
    /// MongoDB: further databases in which the logins are or were defined.
    pub copies: Vec<String>,
}

/// The login the controller itself uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent facts of the catalog"
)]
pub struct Admin {
    pub name: String,
    pub is_superuser: bool,
    pub can_create_roles: bool,
    pub can_create_databases: bool,
    pub has_replication: bool,
    pub bypasses_row_security: bool,
}

/// That a role is a member of another, as one grantor gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub role: String,
    pub member: String,
    pub grantor: String,
    pub admin_may_revoke: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent facts of the catalog"
)]
pub struct Role {
    pub can_login: bool,
    pub is_superuser: bool,
    pub has_replication: bool,
    pub can_create_roles: bool,
    pub can_create_databases: bool,
    pub bypasses_row_security: bool,
    /// Whether it lacks the rights of the roles that it is a member of, until it becomes them.
    pub is_noinherit: bool,
    /// Whether its password ends at some time.
    pub expires: bool,
    /// Whether the admin may not alter it.
    pub is_out_of_reach: bool,
    /// Sessions that it may have at once; `None` is as many as the server has.
    pub connection_limit: Option<i32>,
    /// Roles that this one is directly a member of, with their rights; of a MongoDB login
    /// [`DatabaseRole`]s.
    pub member_of: Vec<String>,
    /// Roles that are directly a member of this one, but for the admin.
    pub members: Vec<String>,
    /// The schemas of the role's own `search_path` setting.
    pub search_path: Vec<String>,
    /// The value of the role's own `role` setting (`ALTER ROLE … SET role`), unquoted.
    pub session_role: Option<String>,
    /// The comment as it stands; [`Role::mark`] reads ours.
    pub comment: Option<String>,
    /// Whether the admin is directly or indirectly a member of it (usable with `SET ROLE`).
    pub admin_is_member: bool,
}

impl Role {
    pub fn mark(&self) -> Option<Mark> {
        self.comment.as_deref().and_then(Mark::parse)
    }
}

/// A role of MongoDB that is granted on one database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatabaseRole {
    pub database: String,
    pub role: String,
}

impl DatabaseRole {
    pub fn parse(text: &str) -> Option<Self> {
        let (database, role) = text.split_once('.')?;
        Some(Self {
            database: database.to_owned(),
            role: role.to_owned(),
        })
    }
}

impl fmt::Display for DatabaseRole {
    /// `orders.readWrite`: the name of a database holds no dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.role)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Database {
    pub owner: String,
    pub comment: Option<String>,
    /// Whether the admin may act as the owner (is it, is a member of it, or is a superuser).
    pub admin_owns: bool,
    /// What its owner granted to everybody.
    pub public_rights: Vec<String>,
}

impl Database {
    pub fn mark(&self) -> Option<Mark> {
        self.comment.as_deref().and_then(Mark::parse)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub login: Login,
    pub pid: i32,
    /// Address of the client; `None` for a unix socket, or where the admin may not see it.
    pub client: Option<String>,
    /// When it began, where the server tells.
    pub since: Option<Timestamp>,
}

/// What the claim's own database says, asked over a connection to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Extensions that the server has, by name.
    pub extensions: BTreeMap<String, Extension>,
    /// Rights that the owner role lacks and the admin could grant.
    pub missing_grants: Vec<Grant>,
    /// Objects in `public` on which the owner role lacks rights that the admin can't grant,
    /// at most ten, as `schema.name`.
    pub unreachable_objects: Vec<String>,
    /// System functions that exist, as `schema.name`, with the text they return.
    pub system_functions: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    pub is_installed: bool,
    /// Whether the admin may create it: a superuser, or trusted with CREATE on the database.
    pub can_install: bool,
    /// Whether anybody with CREATE on the database could create it.
    pub is_trusted: bool,
}

/// One right of the owner role on what was there before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// All rights on the database.
    Database,
    /// All rights on schema `public`.
    Schema,
    /// All rights on a table or view in `public`.
    Table(String),
    /// All rights on a sequence in `public`.
    Sequence(String),
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => f.write_str("the database"),
            Self::Schema => f.write_str("schema public"),
            Self::Table(name) => write!(f, "table public.{name}"),
            Self::Sequence(name) => write!(f, "sequence public.{name}"),
        }
    }
}
