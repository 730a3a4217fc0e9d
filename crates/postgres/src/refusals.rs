//! Refused logins out of the server's log. The admin may not read the log; a function of the home
//! database, which a superuser put there (docs/operations.md), gives it these lines alone.

use engine::tripwire::{Attempt, Blind, Reading};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::{Error, Kind},
    session::Session,
    sql::{Keyword, Literal, sql},
};

/// What must be so before the function is called. One that is not a superuser's own could do
/// anything with the admin's rights.
const SIGHT: &str = "SELECT json_build_object(
  'has_log', current_setting('logging_collector') = 'on'
    AND current_setting('log_destination') ~ 'csvlog|jsonlog',
  'has_function', EXISTS (
    SELECT FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_roles o ON o.oid = p.proowner
    WHERE n.nspname = 'dbcontroller' AND p.proname = 'refused_logins'
      AND oidvectortypes(p.proargtypes) = 'text' AND p.prorettype = 'json'::regtype
      AND p.prosecdef AND o.rolsuper
      AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')))::text";

impl Session {
    /// Reads on from a position that this returned; without one begins at the end of the log.
    pub async fn refused_logins(
        &mut self,
        after: Option<&str>,
    ) -> Result<Result<Reading, Blind>, Error> {
        let outcome = self.read_refusals(after).await;
        outcome.map_err(|kind| self.error(kind, "reading refused logins in the log"))
    }

    async fn read_refusals(&mut self, after: Option<&str>) -> Result<Result<Reading, Blind>, Kind> {
        let Sight {
            has_log,
            has_function,
        } = self.ask(sql!("{sight}", sight = Keyword(SIGHT))).await?;
        if !has_log {
            return Ok(Err(Blind::NoLog));
        }
        if !has_function {
            let database = self.database().to_owned();
            return Ok(Err(Blind::NoFunction { database }));
        }
        let after = match after {
            Some(after) => sql!("{after}", after = Literal(after)),
            None => sql!("NULL"),
        };
        let call = sql!(
            "SELECT coalesce(dbcontroller.refused_logins({after}), 'null')::text",
            after = after
        );
        let answer = self.ask::<Option<Answer>>(call).await?;
        // The setting is there, and the log will be with the next restart.
        Ok(answer.map(Answer::into_reading).ok_or(Blind::NoLog))
    }
}

#[derive(Deserialize)]
struct Sight {
    has_log: bool,
    has_function: bool,
}

#[derive(Deserialize)]
struct Answer {
    after: String,
    is_behind: bool,
    refused: Vec<Value>,
}

#[derive(Deserialize)]
struct Row {
    at: Timestamp,
    login: String,
    address: Option<String>,
}

impl Answer {
    fn into_reading(self) -> Reading {
        let Self {
            after,
            is_behind,
            refused,
        } = self;
        Reading {
            position: after,
            is_behind,
            attempts: refused.into_iter().filter_map(attempt).collect(),
        }
    }
}

/// A row that is not as it should be is nobody's attempt.
fn attempt(row: Value) -> Option<Attempt> {
    let Row { at, login, address } = serde_json::from_value(row).ok()?;
    Attempt::parse(at, &login, None, address.as_deref())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_become_attempts_and_spoilt_ones_nothing() {
        let at = "2026-11-30T17:08:14.347+00:00";
        let answer = json!({ "after": "a.json:7", "is_behind": false, "refused": [
            { "at": at, "login": "clerk_a", "address": "10.0.0.7" },
            { "at": at, "login": "clerk_b", "address": null },
            { "at": at, "login": "", "address": null },
            { "at": "yesterday", "login": "clerk_a" },
            null,
        ] });
        let answer: Answer = serde_json::from_value(answer).unwrap();
        let reading = answer.into_reading();
        let logins = reading.attempts.iter().map(|one| one.login.as_str());
        assert_eq!(logins.collect::<Vec<_>>(), ["clerk_a", "clerk_b"]);
        assert_eq!(reading.position, "a.json:7");
    }

    proptest! {
        #[test]
        fn whatever_the_log_holds_it_is_a_row_or_nothing(
            at in "[0-9T:Z.+-]{0,30}|2026-11-30T17:08:14Z", login in "\\PC*", address in "\\PC*",
        ) {
            if let Some(attempt) = attempt(json!({ "at": at, "login": login, "address": address })) {
                prop_assert_eq!(attempt.login.as_str(), login);
                prop_assert!(attempt.address.is_none_or(|it| address.contains(':')
                    || it.to_string() == address));
            }
        }
    }
}
