//! Binds arguments as the types that the server has inferred for the parameters, because the driver
//! sends values in binary form: a text for an integer column must become an integer.

use sqlx::postgres::{PgArguments, PgStatement, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{Either, Postgres, Statement, TypeInfo};

use super::Failure;
use crate::value::Value;

type Bound<'q> = Query<'q, Postgres, PgArguments>;

pub(super) fn bind<'q>(
    statement: &'q PgStatement,
    arguments: &[Value],
) -> Result<Bound<'q>, Failure> {
    let types: &[PgTypeInfo] = match statement.parameters() {
        Some(Either::Left(types)) => types,
        Some(Either::Right(_)) | None => &[],
    };
    if types.len() != arguments.len() {
        return Err(Failure::Count {
            want: types.len(),
            given: arguments.len(),
        });
    }
    let mut query = statement.query();
    for ((number, value), kind) in (1..).zip(arguments).zip(types) {
        query = bind_one(query, number, value, kind.name())?;
    }
    Ok(query)
}

fn bind_one<'q>(
    query: Bound<'q>,
    number: usize,
    value: &Value,
    kind: &str,
) -> Result<Bound<'q>, Failure> {
    let text = value.printed();
    let no = |want| Failure::Argument { number, want };
    Ok(match kind {
        "INT2" => query.bind(text.parse::<i16>().map_err(|_| no("number of 16 bits"))?),
        "INT4" => query.bind(text.parse::<i32>().map_err(|_| no("number of 32 bits"))?),
        "INT8" => query.bind(text.parse::<i64>().map_err(|_| no("number of 64 bits"))?),
        "FLOAT4" => query.bind(text.parse::<f32>().map_err(|_| no("number"))?),
        "FLOAT8" => query.bind(text.parse::<f64>().map_err(|_| no("number"))?),
        "BOOL" => query.bind(truth(&text).ok_or_else(|| no("truth value"))?),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "BPCHAR" | "UNKNOWN" => query.bind(text.to_string()),
        _ => return Err(Failure::ArgumentType { number }),
    })
}

/// As PostgreSQL's manual, section 8.6, has them.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}
