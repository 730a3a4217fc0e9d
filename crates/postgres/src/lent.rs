//! Logins that a superuser made for the admin, who may set their passwords through a function only:
//! from PostgreSQL 16 on nobody can both administer a role and let it act as himself. The function is
//! in the operations guide.

use crate::{
    error::{Error, Kind},
    fence::Locked,
    sql::{Literal, Sql, sql},
};

impl Locked {
    /// From here on sets passwords through the function, if there is one that may be trusted with a
    /// verifier: a superuser's. Returns whether there is.
    pub async fn use_lent_logins(&mut self) -> Result<bool, Error> {
        let question = sql!(
            "SELECT EXISTS (
  SELECT FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_roles o ON o.oid = p.proowner
  WHERE n.nspname = 'dbcontroller' AND p.proname = 'set_admin_password' AND p.pronargs = 4
    AND o.rolsuper AND p.prosecdef AND has_function_privilege(p.oid, 'EXECUTE'))::text"
        );
        let answer = self.ask::<bool>(question).await;
        let is_there =
            answer.map_err(|kind: Kind| self.error(kind, "looking for the admin's logins"))?;
        self.set_lent(is_there);
        Ok(is_there)
    }
}

/// Sets a password as [`Locked::set_password`] does, and under the same condition.
pub(crate) fn setting(
    login: Literal<'_>,
    verifier: Literal<'_>,
    mark: Literal<'_>,
    seen: Sql,
) -> Sql {
    sql!(
        "SELECT dbcontroller.set_admin_password({login}, {verifier}, {mark}, {seen})",
        login = login,
        verifier = verifier,
        mark = mark,
        seen = seen,
    )
}
