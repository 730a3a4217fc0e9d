//! Where sessions come from. A server tells that only to who may act as their login, which the
//! admin does for one transaction.

use std::collections::BTreeSet;

use engine::catalog::Catalog;

use crate::{
    apply::acting::{Acting, Reach},
    error::Error,
    observe::{SESSION, SessionAnswer, sessions},
    session::Session,
    sql::{Keyword, Literal, sql},
};

impl Session {
    /// Fills in address and begin of sessions where `catalog` lacks them.
    pub async fn name_clients(&mut self, catalog: &mut Catalog) -> Result<(), Error> {
        let hidden = catalog.sessions.iter();
        let hidden = hidden.filter(|session| session.since.is_none());
        let logins: BTreeSet<_> = hidden.map(|session| session.login.clone()).collect();
        for login in logins {
            let look = sql!(
                "SELECT coalesce(json_agg({session}), '[]')::text
FROM pg_stat_activity WHERE usename = {login}",
                session = Keyword(SESSION),
                login = Literal(login.as_str()),
            );
            let acting = Acting::of(catalog);
            let look = acting.as_role(login.as_str(), Reach::Become, vec![look]);
            let told = self.ask_as::<Vec<SessionAnswer>>(look).await;
            let told = told.and_then(sessions);
            let told =
                told.map_err(|kind| self.error(kind, format!("looking who uses {login}")))?;
            catalog.sessions.retain(|session| session.login != login);
            catalog.sessions.extend(told);
        }
        Ok(())
    }
}
