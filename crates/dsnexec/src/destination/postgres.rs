//! Runs the user's statements, verbatim, over one connection that is closed at the end. Without
//! arguments a statement is sent as plain text, so that DDL and several statements at once work;
//! with arguments these are bound.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr};
use tokio::time::timeout;

use super::bind::bind;
use super::{COMMAND_TIMEOUT, Commit, Error, Failure, Statement, failed};
use crate::connect::Address;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn run(
    address: &Address,
    statements: &[Statement],
    commit: Commit,
) -> Result<(), Error> {
    let connection = timeout(CONNECT_TIMEOUT, address.connect()).await;
    let connection = connection.map_err(|_| Error::Connect(Failure::TimedOut))?;
    let mut connection = connection.map_err(|err| Error::Connect(failure(&err)))?;
    let result = match commit {
        Commit::Each => all(&mut connection, statements).await,
        Commit::Together => together(&mut connection, statements).await,
    };
    // What was done is done; a server that dislikes our goodbye changes nothing. After a timeout
    // the connection may be in the middle of an answer, so the goodbye has one as well.
    let _ = timeout(GOODBYE_TIMEOUT, connection.close()).await;
    result
}

/// An end without commit, the connection's included, rolls back.
async fn together(connection: &mut PgConnection, statements: &[Statement]) -> Result<(), Error> {
    let unfinished = |err: sqlx::Error| Error::Commit(failure(&err));
    let mut transaction = connection.begin().await.map_err(unfinished)?;
    all(&mut transaction, statements).await?;
    transaction.commit().await.map_err(unfinished)
}

async fn all(connection: &mut PgConnection, statements: &[Statement]) -> Result<(), Error> {
    for (number, statement) in (1..).zip(statements) {
        let done = timeout(COMMAND_TIMEOUT, one(connection, statement)).await;
        let done = done.unwrap_or(Err(Failure::TimedOut));
        done.map_err(|failure| failed(number, statement, failure))?;
    }
    Ok(())
}

async fn one(connection: &mut PgConnection, statement: &Statement) -> Result<(), Failure> {
    let Statement {
        label: _,
        text,
        arguments,
    } = statement;
    let sql = AssertSqlSafe(text.to_string());
    if arguments.is_empty() {
        let done = sqlx::raw_sql(sql).execute(connection).await;
        return done.map(drop).map_err(|err| failure(&err));
    }
    let prepared = (&mut *connection).prepare(sql.into_sql_str()).await;
    let prepared = prepared.map_err(|err| failure(&err))?;
    let query = bind(&prepared, arguments)?;
    let done = query.execute(connection).await;
    done.map(drop).map_err(|err| failure(&err))
}

fn failure(err: &sqlx::Error) -> Failure {
    match err {
        sqlx::Error::Database(err) => match err.code() {
            Some(code) => Failure::Refused(code.into_owned()),
            None => Failure::Driver,
        },
        sqlx::Error::Io(_) => Failure::Unreachable,
        sqlx::Error::Tls(_) => Failure::Tls,
        _ => Failure::Driver,
    }
}
