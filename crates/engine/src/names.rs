//! Names on a database server, checked once where they enter.
//! Quoting is the business of the crate that writes statements.

use std::fmt;

/// The longest identifier PostgreSQL keeps, in bytes (`NAMEDATALEN` - 1, manual section 4.1.1);
/// longer names would be cut by the server without an error.
pub const MAX_IDENTIFIER_BYTES: usize = 63;

/// Bytes that a login's suffix (`_a`, `_b`) takes from an owner role's name.
pub const LOGIN_SUFFIX_BYTES: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{what} must not be empty")]
    Empty { what: &'static str },
    #[error("{what} is {bytes} bytes long; the limit is {limit} bytes")]
    TooLong {
        what: &'static str,
        bytes: usize,
        limit: usize,
    },
    #[error("{what} must not contain control characters")]
    ControlCharacter { what: &'static str },
    #[error(
        "{what} is {name}, which PostgreSQL keeps for itself: none and public as a role, information_schema, and all that begins with pg_"
    )]
    Reserved { what: &'static str, name: String },
}

/// What `CREATE ROLE` refuses (manual, section CREATE ROLE, and `IsReservedName`): exactly so
/// spelled, for names are quoted.
fn is_reserved_role(name: &str) -> bool {
    name.starts_with("pg_") || matches!(name, "none" | "public")
}

fn checked(what: &'static str, name: String, limit: usize) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::Empty { what });
    }
    if name.len() > limit {
        return Err(Error::TooLong {
            what,
            bytes: name.len(),
            limit,
        });
    }
    if name.chars().any(char::is_control) {
        return Err(Error::ControlCharacter { what });
    }
    Ok(name)
}

fn checked_schema(what: &'static str, name: String, limit: usize) -> Result<String, Error> {
    let name = checked(what, name, limit)?;
    if name.starts_with("pg_") || name == "information_schema" {
        return Err(Error::Reserved { what, name });
    }
    Ok(name)
}

fn checked_role(what: &'static str, name: String, limit: usize) -> Result<String, Error> {
    let name = checked(what, name, limit)?;
    if is_reserved_role(&name) {
        return Err(Error::Reserved { what, name });
    }
    Ok(name)
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:expr, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(name: String) -> Result<Self, Error> {
                $check($what, name, $limit).map(Self)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(name: &str) -> Result<Self, Error> {
                Self::try_from(name.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A database on a server.
    DatabaseName,
    "the database name",
    MAX_IDENTIFIER_BYTES,
    checked
);
name!(
    /// The owner role of a claim: cannot log in, owns every object.
    RoleName,
    "the owner role name (userName)",
    MAX_IDENTIFIER_BYTES - LOGIN_SUFFIX_BYTES,
    checked_role
);
name!(
    /// A schema in a claim's database.
    SchemaName,
    "a schema in schemarolemap",
    MAX_IDENTIFIER_BYTES,
    checked_schema
);
name!(
    /// The role that carries what may be done in one schema: cannot log in, owns nothing.
    SchemaRole,
    "the role of a schema",
    MAX_IDENTIFIER_BYTES,
    checked_role
);
name!(
    /// A role that can log in.
    Login,
    "the login name",
    MAX_IDENTIFIER_BYTES,
    checked
);

/// The two logins of a claim, `<owner role>_a` and `<owner role>_b`, that take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPair {
    pub a: Login,
    pub b: Login,
}

impl LoginPair {
    pub fn of_role(role: &RoleName) -> Self {
        Self {
            a: Login(format!("{role}_a")),
            b: Login(format!("{role}_b")),
        }
    }

    pub fn contains(&self, login: &str) -> bool {
        self.a.as_str() == login || self.b.as_str() == login
    }

    /// The login that takes over when `login` goes; `a` where `login` is not of this pair.
    pub fn other(&self, login: &str) -> &Login {
        if self.a.as_str() == login {
            &self.b
        } else {
            &self.a
        }
    }

    pub fn both(&self) -> [&Login; 2] {
        [&self.a, &self.b]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_server_would_cut_is_refused_with_its_length() {
        assert!(RoleName::try_from("r".repeat(61)).is_ok());
        let err = RoleName::try_from("ü".repeat(31)).unwrap_err();
        assert_eq!(
            err.to_string(),
            "the owner role name (userName) is 62 bytes long; the limit is 61 bytes"
        );
        assert!(DatabaseName::try_from("").is_err());
        assert!(DatabaseName::try_from("a\0b").is_err());
    }

    #[test]
    fn a_role_name_that_the_server_keeps_for_itself_is_refused() {
        for name in ["pg_clerk", "none", "public"] {
            let err = RoleName::try_from(name).unwrap_err();
            assert!(matches!(err, Error::Reserved { .. }), "{err}");
        }
        for name in ["PG_clerk", "None", "publican", "clerk_pg_"] {
            assert!(RoleName::try_from(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_logins_of_the_longest_role_fit() {
        let pair = LoginPair::of_role(&RoleName::try_from("r".repeat(61)).unwrap());
        assert_eq!(pair.a.as_str().len(), MAX_IDENTIFIER_BYTES);
        assert_eq!(pair.other(pair.a.as_str()), &pair.b);
        assert_eq!(pair.other("somebody"), &pair.a);
    }
}
