//! Statements of tests, sent as text and answered as text.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, ValueRef};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Logs in. Errors: the server's own, and a timeout.
pub async fn connect(dsn: &SecretString) -> Result<PgConnection> {
    crate::install_crypto_provider();
    let options = PgConnectOptions::from_str(dsn.expose_secret())
        .context("not a DSN")?
        .disable_statement_logging();
    tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
        .await
        .context("the server did not answer a login in time")?
        .context("cannot log in")
}

/// Logs in, runs one or more statements, and logs out.
pub async fn execute(dsn: &SecretString, sql: &str) -> Result<()> {
    query(dsn, sql).await.map(drop)
}

/// Logs in, runs `sql`, and returns all columns of all rows as PostgreSQL prints them.
pub async fn query(dsn: &SecretString, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    let mut connection = connect(dsn).await?;
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .with_context(|| format!("failed: {sql}"))?;
    // The answer is here; a server that dislikes our goodbye changes nothing.
    let _ = connection.close().await;
    rows.iter().map(as_text).collect()
}

/// Runs one or more statements in a session that stays.
pub async fn run_in(connection: &mut PgConnection, sql: &str) -> Result<()> {
    let statements = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let outcome = statements.execute(connection).await;
    outcome.map(drop).with_context(|| format!("failed: {sql}"))
}

/// The first column of the first row.
pub async fn query_one(dsn: &SecretString, sql: &str) -> Result<String> {
    let first = query(dsn, sql).await?.into_iter().next();
    first
        .and_then(|row| row.into_iter().next().flatten())
        .with_context(|| format!("no value from: {sql}"))
}

fn as_text(row: &PgRow) -> Result<Vec<Option<String>>> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(None);
            }
            let text = value.as_str().map_err(|err| anyhow::anyhow!(err))?;
            Ok(Some(text.to_owned()))
        })
        .collect()
}
