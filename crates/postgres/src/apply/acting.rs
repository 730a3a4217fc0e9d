//! Doing a step as another role. An admin that is no superuser may administer the roles it made
//! without having their rights; it joins such a role for the length of one transaction only.
//! A lasting membership would be inherited by whoever has the admin, and on some clouds an owner
//! role's own memberships lock the admin out.

use engine::catalog::Catalog;

use crate::{
    observe::MEMBERSHIP_OPTIONS,
    sql::{Ident, Keyword, Sql, sql},
};

/// What the admin needs of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To run statements as the role itself.
    Become,
    /// To run statements as the admin, which may give things to the role.
    GiveTo,
    /// To run statements as the admin with the role's rights.
    Inherit,
}

pub(super) struct Acting<'a> {
    catalog: &'a Catalog,
}

impl<'a> Acting<'a> {
    pub(super) fn of(catalog: &'a Catalog) -> Self {
        Self { catalog }
    }

    pub(super) fn is_superuser(&self) -> bool {
        self.catalog.admin.is_superuser
    }

    /// Wraps `work` so that it runs with the wanted reach, and leaves the admin's memberships as
    /// they were.
    pub(super) fn as_role(&self, role: &str, reach: Reach, work: Vec<Sql>) -> Vec<Sql> {
        if self.is_superuser() {
            return work;
        }
        let name = Ident(role);
        let mut statements = Vec::with_capacity(work.len() + 4);
        let joins = reach == Reach::Inherit || !self.is_member(role);
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

    fn is_member(&self, role: &str) -> bool {
        let role = self.catalog.roles.get(role);
        role.is_some_and(|role| role.admin_is_member)
    }

    fn options(&self, reach: Reach) -> Keyword {
        Keyword(match reach {
            _ if self.catalog.version < MEMBERSHIP_OPTIONS => "",
            Reach::Become | Reach::GiveTo => " WITH INHERIT FALSE, SET TRUE",
            Reach::Inherit => " WITH INHERIT TRUE, SET TRUE",
        })
    }
}
