//! Why a claim can't have what it asks for, in words for the people who can change that.

use crate::ErrorClass;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("role {role} on the server belongs to claim {claim}; choose another userName")]
    ForeignRole { role: String, claim: String },
    #[error(
        "role {role} exists on the server and was not made by this claim; choose another userName, or drop the role"
    )]
    UnmarkedRole { role: String },
    #[error(
        "role {role}, which is to carry the rights in schema {schema}, exists on the server and is somebody else's; drop or rename it"
    )]
    NoSchemaRole { schema: String, role: String },
    #[error("role {role} is a superuser; a claim's owner role must not be one")]
    SuperuserRole { role: String },
    #[error(
        "database {database} on the server belongs to claim {claim}; choose another databaseName"
    )]
    ForeignDatabase { database: String, claim: String },
    #[error(
        "database {database} exists on the server and was not made by this claim; to use it, set sourceDataFrom and useExistingSource"
    )]
    UnmarkedDatabase { database: String },
    #[error(
        "database {database}, which this claim has, is not on the server; a claim is not moved to an empty database: put its server and databaseName back, or restore the database"
    )]
    DatabaseGone { database: String },
    #[error("the admin {admin} may not create {what}; give it {attribute}")]
    WeakAdmin {
        admin: String,
        what: &'static str,
        attribute: &'static str,
    },
    #[error("userName was changed to {wanted}, but both {former} and {wanted} exist on the server")]
    BothRoles { former: String, wanted: String },
    #[error("database {database} is MongoDB's or the controller's own; choose another name")]
    SystemDatabase { database: String },
    #[error(
        "{name:?} can't be the name of a database on MongoDB: letters, digits, '-' and '_' are safe"
    )]
    DatabaseCharacters { name: String },
    #[error(
        "login {role}, with which the admin's credential would alternate, belongs to {keeper}: another controller rotates this admin; give each controller an admin of its own"
    )]
    AdminLogin { role: String, keeper: String },
    #[error(
        "login {role}, with which the admin's credential would alternate, exists on the server and was not made by this controller; drop it, or give the controller another admin"
    )]
    UnmarkedAdminLogin { role: String },
    #[error(
        "from PostgreSQL 16 on an admin that is no superuser can't let others act as it: a superuser runs, once, the statements under Rotating the admin in the operations guide"
    )]
    NoAdminLogins,
    #[error(
        "{admin} is a superuser, and logins that act as one could not enter databases that are closed to others; give the controller an admin that is none"
    )]
    SuperuserAdmin { admin: String },
    #[error("an admin of MongoDB may not change its own password, so it is not rotated")]
    AdminOfMongo,
    #[error("{database}, on which a role is asked for, is not among the claim's databases")]
    RoleElsewhere { database: String },
}

impl Refusal {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::WeakAdmin { .. } | Self::NoAdminLogins => ErrorClass::Forbidden,
            Self::SystemDatabase { .. }
            | Self::DatabaseCharacters { .. }
            | Self::RoleElsewhere { .. }
            | Self::SuperuserAdmin { .. }
            | Self::AdminOfMongo => ErrorClass::InvalidSpec,
            Self::ForeignRole { .. }
            | Self::UnmarkedRole { .. }
            | Self::NoSchemaRole { .. }
            | Self::SuperuserRole { .. }
            | Self::ForeignDatabase { .. }
            | Self::UnmarkedDatabase { .. }
            | Self::DatabaseGone { .. }
            | Self::AdminLogin { .. }
            | Self::UnmarkedAdminLogin { .. }
            | Self::BothRoles { .. } => ErrorClass::Blocked,
        }
    }
}
