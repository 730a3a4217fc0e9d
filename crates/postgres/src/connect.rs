//! Opens connections: the one place that makes connection options, and so one of the few where a
//! password is a plain text for the length of a line.
//! Options are never formatted: the driver's `Debug` prints the password. The driver starts from
//! libpq's environment variables; every field that can be set is set here. What it cannot unset is
//! a client certificate (`PGSSLCERT` with `PGSSLKEY`) and, before our own, `PGOPTIONS`.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use engine::{
    address::{Endpoint, SslMode},
    dsn::Dsn,
    timeouts::Timeouts,
};
use secrecy::ExposeSecret;
use sqlx::{
    ConnectOptions, PgConnection, Row,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

use crate::{
    error::Kind,
    sql::{Sql, sql},
};

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An admin's session, with settings of ours.
    Work,
    /// A login as an application would make it, through a pooler perhaps: no setting of ours.
    Proof,
}

/// Connects to the first host that takes writes. With one host only, nothing is asked of it.
/// A refused login is not final while there are further hosts: a standby may lag behind.
pub(crate) async fn open(
    dsn: &Dsn,
    purpose: Purpose,
    timeouts: Timeouts,
) -> Result<PgConnection, Kind> {
    let is_only_host = dsn.address.others.is_empty();
    let timeouts = timeouts.shared_by(1 + dsn.address.others.len());
    let mut refusal = None;
    for endpoint in dsn.address.endpoints() {
        match open_endpoint(dsn, endpoint, purpose, timeouts).await {
            Ok(connection) if is_only_host => return Ok(connection),
            Ok(mut connection) => {
                let question = sql!("SELECT pg_catalog.pg_is_in_recovery()::text");
                let answer = text(&mut connection, question, timeouts.connect).await;
                match answer.as_deref() {
                    Ok("false") => return Ok(connection),
                    Ok(_) => refusal.get_or_insert(Kind::NoPrimary),
                    Err(kind) => refusal.get_or_insert(kind.clone()),
                };
            }
            Err(kind) if is_only_host => return Err(kind),
            // What a host says weighs more than silence, and a refusal more than a standby.
            Err(kind @ Kind::RefusedLogin(_)) => refusal = Some(kind),
            Err(kind) => {
                refusal.get_or_insert(kind);
            }
        }
    }
    Err(refusal.unwrap_or(Kind::NoPrimary))
}

pub(crate) async fn open_endpoint(
    dsn: &Dsn,
    endpoint: &Endpoint,
    purpose: Purpose,
    timeouts: Timeouts,
) -> Result<PgConnection, Kind> {
    let attempt = async |mode: PgSslMode| {
        let options = options(dsn, endpoint, mode, purpose, timeouts);
        match timeout(timeouts.connect, options.connect()).await {
            Ok(result) => result.map_err(Kind::from),
            Err(_) => Err(Kind::TimedOut(timeouts.connect)),
        }
    };
    match dsn.address.ssl_mode {
        SslMode::Disable => attempt(PgSslMode::Disable).await,
        // The driver has no `allow`: plain first, and TLS where the server insists on it.
        SslMode::Allow => match attempt(PgSslMode::Disable).await {
            Err(Kind::RefusedLogin(_)) => attempt(PgSslMode::Require).await,
            outcome => outcome,
        },
        SslMode::Prefer => attempt(PgSslMode::Prefer).await,
        SslMode::Require => attempt(PgSslMode::Require).await,
        SslMode::VerifyCa => attempt(PgSslMode::VerifyCa).await,
        SslMode::VerifyFull => attempt(PgSslMode::VerifyFull).await,
    }
}

/// How long the server waits for our next statement (PostgreSQL 14 and later). Longer than any
/// pause between two statements of a pass, and than the pool keeps an idle connection.
const IDLE_SESSION: Duration = Duration::from_mins(2);

fn options(
    dsn: &Dsn,
    endpoint: &Endpoint,
    ssl_mode: PgSslMode,
    purpose: Purpose,
    timeouts: Timeouts,
) -> PgConnectOptions {
    let Dsn {
        address,
        database,
        credential,
    } = dsn;
    let parameter = |keyword: &str| {
        let found = address.parameters.iter().find(|(name, _)| name == keyword);
        found.map(|(_, value)| value.as_str())
    };
    let name = match purpose {
        Purpose::Work => "db-controller",
        Purpose::Proof => parameter("application_name").unwrap_or("db-controller"),
    };
    let options = PgConnectOptions::new_without_pgpass()
        .host(&endpoint.host)
        .port(endpoint.port)
        .username(credential.login.as_str())
        .password(credential.password.expose_secret())
        .database(database.as_str())
        .ssl_mode(ssl_mode)
        .ssl_root_cert_from_pem(address.ca.clone().unwrap_or_default().into_bytes())
        .application_name(name)
        // Poolers refuse startup parameters that they do not know.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .options(settings(parameter("options").unwrap_or_default()))
        .disable_statement_logging();
    match purpose {
        Purpose::Proof => options,
        Purpose::Work => {
            let milliseconds = |bound: Duration| bound.as_millis().to_string();
            options.options([
                ("statement_timeout", milliseconds(timeouts.statement)),
                ("lock_timeout", milliseconds(timeouts.lock)),
                // A controller that is gone without a word must not keep its locks.
                ("idle_session_timeout", milliseconds(IDLE_SESSION)),
                ("tcp_keepalives_idle", "10".to_owned()),
                ("tcp_keepalives_interval", "5".to_owned()),
                ("tcp_keepalives_count", "3".to_owned()),
                (
                    "idle_in_transaction_session_timeout",
                    milliseconds(timeouts.answer()),
                ),
                // A tenant may have put functions of the catalog's names into `public`.
                ("search_path", "pg_catalog".to_owned()),
                ("standard_conforming_strings", "on".to_owned()),
                ("default_transaction_read_only", "off".to_owned()),
                // Our catalog queries look dear to the planner and are not.
                ("jit", "off".to_owned()),
                ("client_min_messages", "error".to_owned()),
            ])
        }
    }
}

/// A number that tells passwords apart within this process and says nothing outside of it.
pub(crate) fn fingerprint(dsn: &Dsn, key: &RandomState) -> u64 {
    key.hash_one(dsn.credential.password.expose_secret())
}

/// Reads settings out of libpq's `options` parameter: `-c name=value`, `-cname=value` or
/// `--name=value`, with backslash before white space. Other switches of the server are left out.
fn settings(options: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(chars.next()),
            (c, _) if c.is_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let mut found = Vec::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().unwrap_or_default()
        } else if let Some(setting) = word.strip_prefix("--").or(word.strip_prefix("-c")) {
            setting.to_owned()
        } else {
            continue;
        };
        if let Some((name, value)) = setting.split_once('=') {
            found.push((name.to_owned(), value.to_owned()));
        }
    }
    found
}

/// The one text that a message answers. Read to its end, where an error may still stand.
pub(crate) async fn text(
    connection: &mut PgConnection,
    statement: Sql,
    limit: Duration,
) -> Result<String, Kind> {
    let rows = match timeout(limit, statement.into_query().fetch_all(connection)).await {
        Ok(rows) => rows?,
        Err(_) => return Err(Kind::TimedOut(limit)),
    };
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(row.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_out_of_the_options_parameter() {
        let check = |options: &str, want: &[(&str, &str)]| {
            let want: Vec<_> = want
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(settings(options), want, "{options}");
        };
        check("", &[]);
        check(
            "-c geqo=off --search_path=a,b",
            &[("geqo", "off"), ("search_path", "a,b")],
        );
        check(r"-csearch_path=my\ app -e", &[("search_path", "my app")]);
        check("-c", &[]);
    }
}
