//! What may be done to a server: the vocabulary between `decide` and the crates that carry it out.
//! Every step is idempotent: done twice, or done after a crash, it leaves the same state.

mod difference;
mod title;

use crate::{
    catalog::{DatabaseRole, Grant},
    mark::Mark,
    names::{DatabaseName, Login, RoleName, SchemaName, SchemaRole},
};

/// A change made over the home connection: roles and the database as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerStep {
    /// `R`: cannot log in. An existing role only loses nothing and gains the mark.
    CreateOwner {
        role: RoleName,
        mark: Mark,
    },
    /// A login without a password: unusable until step 4 of a rotation.
    CreateLogin {
        login: Login,
        role: RoleName,
        mark: Mark,
    },
    /// MongoDB: the login again, in a further database that logs it in.
    CreateCopy {
        login: Login,
        database: String,
        mark: Mark,
    },
    /// MongoDB: what the login may do, beside what it may do already.
    GrantRoles {
        login: Login,
        roles: Vec<DatabaseRole>,
    },
    /// MongoDB: what the login may do no longer.
    RevokeRoles {
        login: Login,
        roles: Vec<DatabaseRole>,
    },
    /// Membership first, then `SET role`: the order in which a crash does no harm.
    JoinOwner {
        login: Login,
        role: RoleName,
    },
    AssumeOwner {
        login: Login,
        role: RoleName,
    },
    /// A role that carries what role claims may do in one schema.
    CreateSchemaRole {
        role: SchemaRole,
        mark: Mark,
    },
    MarkSchemaRole {
        role: SchemaRole,
        mark: Mark,
    },
    JoinSchemaRole {
        member: RoleName,
        role: SchemaRole,
    },
    /// What a role or login was granted and is not to have. From PostgreSQL 16 on each grantor's
    /// grant stands for itself.
    LeaveRole {
        member: String,
        role: String,
        grantor: Option<String>,
    },
    /// An attribute of a role becomes what it is to be.
    Alter {
        role: String,
        attribute: Attribute,
    },
    /// A database of this claim that was given to somebody else goes back to its owner role.
    ReturnDatabase {
        database: DatabaseName,
        role: RoleName,
        from: String,
    },
    /// Takes what PUBLIC was granted on the claim's own database.
    CloseDatabase {
        database: DatabaseName,
        role: RoleName,
        rights: Vec<String>,
    },
    /// Where names without a schema are looked for.
    SearchPath {
        login: Login,
        schemas: Vec<SchemaName>,
    },
    DropSchemaRole {
        role: SchemaRole,
    },
    /// The owner role gets another name and keeps all it owns. The logins of the old name go on
    /// working: their `SET role` setting follows in the same transaction.
    RenameOwner {
        from: RoleName,
        to: RoleName,
    },
    MarkOwner {
        role: RoleName,
        mark: Mark,
    },
    MarkLogin {
        login: Login,
        mark: Mark,
    },
    /// Not in a transaction (PostgreSQL forbids it); the mark on the owner role says that it runs.
    CreateDatabase {
        database: DatabaseName,
    },
    /// Gives a database that this claim created to its owner role, takes CONNECT and TEMPORARY
    /// from PUBLIC, marks it, and replaces the owner role's mark. On MongoDB, where a database
    /// comes into being when it is written to, this reserves its name for the claim.
    OwnDatabase {
        database: DatabaseName,
        role: RoleName,
        mark: Mark,
    },
    /// Replication right for both logins, by role or attribute as the server has it.
    AllowReplication {
        login: Login,
        through_rds: bool,
    },
    RevokeReplication {
        login: Login,
        through_rds: bool,
    },
    /// How many sessions a login may have at once; `None` lifts a limit of ours. The mark says
    /// whose limit it is.
    LimitConnections {
        login: Login,
        limit: Option<i32>,
        mark: Mark,
    },
    /// The owner role becomes a member of `rds_superuser` and may make roles.
    Elevate {
        role: RoleName,
    },
    /// Takes both away again.
    Demote {
        role: RoleName,
    },
    /// Step 9: no login, no password.
    Retire {
        login: Login,
    },
    /// Takes the password of the admin's first login, once others act as the admin.
    Disarm {
        login: Login,
    },
    /// Ends the sessions of a login, past `maxOverlap`.
    Terminate {
        login: Login,
    },
    /// Deletion: ends the sessions and drops the login.
    DropLogin {
        login: Login,
        role: RoleName,
    },
    /// MongoDB: the same of a login in a further database.
    DropCopy {
        login: Login,
        database: String,
    },
    /// Deletion of a claim on an adopted database: what the owner role owns in the connected
    /// database goes to `to`, the database's owner, and its rights there are taken back.
    HandOver {
        role: RoleName,
        to: String,
    },
    DropDatabase {
        database: DatabaseName,
    },
    DropOwner {
        role: RoleName,
    },
}

/// What a role of a claim is to be, on PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum Attribute {
    NoLogin,
    NoSuperuser,
    NoCreateDb,
    NoCreateRole,
    NoBypassRls,
    NoReplication,
    /// It has the rights of the roles that it is a member of.
    Inherit,
    /// Its password has no end.
    NoExpiry,
}

impl ServerStep {
    /// The login whose comment this step writes, and what it writes.
    pub fn marked_login(&self) -> Option<(&Login, &Mark)> {
        match self {
            Self::CreateLogin { login, mark, .. }
            | Self::MarkLogin { login, mark }
            | Self::LimitConnections { login, mark, .. } => Some((login, mark)),
            _ => None,
        }
    }
}

/// A change made over a connection to the claim's own database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseStep {
    /// Rights on what was there before the owner role.
    Grant {
        role: RoleName,
        grants: Vec<Grant>,
    },
    CreateExtension {
        extension: String,
    },
    /// `schema.name()` that returns `value`, readable by all (compatibility 8.5).
    CreateSystemFunction {
        schema: String,
        name: String,
        value: String,
    },
}
