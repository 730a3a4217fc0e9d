//! Doing a step as another role. An admin that is no superuser may administer the roles it made
//! without having their rights; it joins such a role for the length of one transaction only.
//! A lasting membership would be inherited by whoever has the admin, and on some clouds an owner
//! role's own memberships lock the admin out.

use std::collections::BTreeSet;

use engine::catalog::Catalog;

use crate::{
    observe::MEMBERSHIP_OPTIONS,
    sql::{Ident, Keyword, Sql, sql},
};

/// What the admin needs of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To run statements as the role itself.
    Become,
    /// To run statements as the admin, which may give things to the role.
    GiveTo,
    /// To run statements as the admin with the role's rights.
    Inherit,
}

pub(crate) struct Acting<'a> {
    version: u32,
    is_superuser: bool,
    /// The roles of which the admin is a member already.
    memberships: BTreeSet<&'a str>,
}

impl<'a> Acting<'a> {
    pub(crate) fn of(catalog: &'a Catalog) -> Self {
        let roles = catalog.roles.iter();
        let roles = roles.filter(|(_, role)| role.admin_is_member);
        Self::with(catalog, roles.map(|(name, _)| name.as_str()))
    }

    /// For an admin that is a member of just these roles.
    pub(crate) fn with(catalog: &Catalog, memberships: impl Iterator<Item = &'a str>) -> Self {
        Self {
            version: catalog.version,
            is_superuser: catalog.admin.is_superuser,
            memberships: memberships.collect(),
        }
    }

    pub(super) fn is_superuser(&self) -> bool {
        self.is_superuser
    }

    /// Wraps `work` so that it runs with the wanted reach, and leaves the admin's memberships as
    /// they were.
    pub(crate) fn as_role(&self, role: &str, reach: Reach, work: Vec<Sql>) -> Vec<Sql> {
        if self.is_superuser() {
            return work;
        }
        let name = Ident(role);
        let mut statements = Vec::with_capacity(work.len() + 4);
        let joins = reach == Reach::Inherit || !self.memberships.contains(role);
        if joins {
            statements.push(sql!(
                "GRANT {role} TO CURRENT_USER{options}",
                role = name,
                options = self.options(reach),
            ));
        }
        if reach == Reach::Become {
            statements.push(sql!("SET LOCAL ROLE {role}", role = name));
        }
        statements.extend(work);
        if reach == Reach::Become {
            statements.push(sql!("RESET ROLE"));
        }
        if joins {
            statements.push(sql!("REVOKE {role} FROM CURRENT_USER", role = name));
        }
        statements
    }

    fn options(&self, reach: Reach) -> Keyword {
        Keyword(match reach {
            _ if self.version < MEMBERSHIP_OPTIONS => "",
            Reach::Become | Reach::GiveTo => " WITH INHERIT FALSE, SET TRUE",
            Reach::Inherit => " WITH INHERIT TRUE, SET TRUE",
        })
    }
}
