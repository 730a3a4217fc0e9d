//! What the logins of a claim may do on an engine that has no owner role between them and the
//! databases. Whether the databases may be had is for `decide` to say.

use std::collections::BTreeSet;

use crate::{catalog::DatabaseRole, dsn::LOGINS_DATABASE, names::DatabaseName};

/// Databases and roles as the claim lists them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Beside the one that the connection strings name.
    pub others: Vec<DatabaseName>,
    /// Empty means [`DEFAULT_ROLE`] on each database.
    pub roles: Vec<RoleWish>,
    /// Whether each of the databases logs the claim in itself, instead of one apart from them all.
    pub is_per_database: bool,
    /// By which the logins prove themselves; empty means [`DEFAULT_MECHANISM`].
    pub mechanisms: Vec<String>,
    /// Where the logins were defined when status was written; empty for the one apart.
    pub recorded: Vec<String>,
}

/// Where and how a claim's logins are defined, with one password and the same roles everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// The first is the one that the connection strings name.
    pub databases: Vec<String>,
    pub mechanisms: Vec<String>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            databases: vec![LOGINS_DATABASE.to_owned()],
            mechanisms: vec![DEFAULT_MECHANISM.to_owned()],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleWish {
    pub role: String,
    /// `None` means each database of the claim.
    pub database: Option<DatabaseName>,
}

/// Reads and writes all but system collections, and makes indexes (manual, "Built-In Roles").
const DEFAULT_ROLE: &str = "readWrite";

/// Without a list the server makes verifiers for SHA-1 too, whenever it is given a password.
const DEFAULT_MECHANISM: &str = "SCRAM-SHA-256";

impl Access {
    /// All databases of the claim, each once, `first` first.
    pub fn databases(&self, first: &DatabaseName) -> Vec<DatabaseName> {
        let mut all = vec![first.clone()];
        for database in &self.others {
            if !all.contains(database) {
                all.push(database.clone());
            }
        }
        all
    }

    pub fn accounts(&self, first: &DatabaseName) -> Accounts {
        let mut accounts = Accounts {
            databases: self.auth_databases(first),
            ..Accounts::default()
        };
        if !self.mechanisms.is_empty() {
            accounts.mechanisms.clone_from(&self.mechanisms);
        }
        accounts
    }

    /// The databases in which the logins are defined, the published one first.
    pub fn auth_databases(&self, first: &DatabaseName) -> Vec<String> {
        if !self.is_per_database {
            return vec![LOGINS_DATABASE.to_owned()];
        }
        let databases = self.databases(first);
        databases.iter().map(ToString::to_string).collect()
    }

    /// Where logins were defined and are wished no longer.
    pub fn left_databases(&self, first: &DatabaseName) -> Vec<String> {
        let wished = self.auth_databases(first);
        let recorded = self.recorded.iter();
        let left = recorded.filter(|database| !wished.contains(database));
        left.cloned().collect()
    }

    /// What status records of this: also the database that is left only when the published
    /// connection strings, which name it, have been replaced.
    pub fn to_record(&self, first: &DatabaseName, published: Option<&str>) -> Vec<String> {
        if !self.is_per_database {
            return Vec::new();
        }
        let left = self.left_databases(first).into_iter();
        let kept = left.filter(|database| Some(database.as_str()) == published);
        self.auth_databases(first).into_iter().chain(kept).collect()
    }

    /// Exactly the roles that each of the two logins has.
    pub fn database_roles(&self, first: &DatabaseName) -> BTreeSet<DatabaseRole> {
        let on = |role: &str, database: &DatabaseName| DatabaseRole {
            database: database.to_string(),
            role: role.to_owned(),
        };
        let databases = self.databases(first);
        if self.roles.is_empty() {
            return databases
                .iter()
                .map(|name| on(DEFAULT_ROLE, name))
                .collect();
        }
        let mut all = BTreeSet::new();
        for RoleWish { role, database } in &self.roles {
            match database {
                Some(database) => all.extend([on(role, database)]),
                None => all.extend(databases.iter().map(|name| on(role, name))),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DatabaseName {
        DatabaseName::try_from(text).unwrap()
    }

    fn check(roles: &[(&str, Option<&str>)], want: &[&str]) {
        let access = Access {
            others: vec![name("profiles"), name("image")],
            roles: roles
                .iter()
                .map(|(role, database)| RoleWish {
                    role: (*role).to_owned(),
                    database: database.map(name),
                })
                .collect(),
            ..Access::default()
        };
        let got = access.database_roles(&name("image"));
        let got: Vec<_> = got.iter().map(ToString::to_string).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn logins_are_defined_apart_unless_each_database_logs_in() {
        let mut access = Access {
            others: vec![name("profiles"), name("image")],
            recorded: vec!["desktop".to_owned(), "image".to_owned()],
            ..Access::default()
        };
        assert_eq!(access.auth_databases(&name("image")), ["dbclaims"]);
        access.is_per_database = true;
        assert_eq!(access.auth_databases(&name("image")), ["image", "profiles"]);
        assert_eq!(access.left_databases(&name("image")), ["desktop"]);
        let recorded = access.to_record(&name("image"), Some("desktop"));
        assert_eq!(recorded, ["image", "profiles", "desktop"]);
    }

    #[test]
    fn a_claim_that_says_nothing_may_write_to_each_of_its_databases() {
        check(&[], &["image.readWrite", "profiles.readWrite"]);
        check(&[("read", None)], &["image.read", "profiles.read"]);
        check(
            &[("dbOwner", Some("image")), ("read", Some("profiles"))],
            &["image.dbOwner", "profiles.read"],
        );
    }
}
