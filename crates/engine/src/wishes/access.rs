//! What the logins of a claim may do on an engine that has no owner role between them and the
//! databases. Whether the databases may be had is for `decide` to say.

use std::collections::BTreeSet;

use crate::{catalog::DatabaseRole, names::DatabaseName};

/// Databases and roles as the claim lists them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Beside the one that the connection strings name.
    pub others: Vec<DatabaseName>,
    /// Empty means [`DEFAULT_ROLE`] on each database.
    pub roles: Vec<RoleWish>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleWish {
    pub role: String,
    /// `None` means each database of the claim.
    pub database: Option<DatabaseName>,
}

/// Reads and writes all but system collections, and makes indexes (manual, "Built-In Roles").
const DEFAULT_ROLE: &str = "readWrite";

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
        };
        let got = access.database_roles(&name("image"));
        let got: Vec<_> = got.iter().map(ToString::to_string).collect();
        assert_eq!(got, want);
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
