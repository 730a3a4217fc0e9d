//! Attempts over the database, with a login that the controller gave.

use anyhow::{Result, ensure};
use testkit::env;

use super::stage::Tenants;

/// Where, what, and a word of the server's reason.
const ATTEMPTS: [(Option<&str>, &str, &str); 14] = [
    (
        Some("ledger"),
        "SELECT * FROM secrets",
        "permission denied for database",
    ),
    (None, "SET ROLE keeper", "permission denied"),
    (
        None,
        "SET SESSION AUTHORIZATION keeper",
        "permission denied",
    ),
    (
        None,
        "GRANT keeper TO CURRENT_USER",
        "must have admin option|permission denied",
    ),
    (
        None,
        "ALTER ROLE keeper_a PASSWORD 'mine'",
        "permission denied|must have",
    ),
    (
        None,
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "must be superuser|permission denied",
    ),
    (
        None,
        "ALTER ROLE CURRENT_USER CREATEROLE",
        "permission denied|must",
    ),
    (None, "DROP ROLE keeper_b", "permission denied"),
    (None, "DROP DATABASE ledger", "must be owner"),
    (
        None,
        "ALTER DATABASE ledger OWNER TO CURRENT_USER",
        "must be owner",
    ),
    (
        None,
        "COMMENT ON ROLE keeper IS 'mine'",
        "must have|permission denied",
    ),
    (
        None,
        "SELECT rolpassword FROM pg_authid",
        "permission denied",
    ),
    (
        None,
        "SELECT pg_read_file('/etc/passwd')",
        "permission denied",
    ),
    (
        None,
        "SELECT 1 / (count(*) - count(*)) FROM pg_stat_activity WHERE usename LIKE 'keeper%' OR pg_terminate_backend((SELECT min(pid) FROM pg_stat_activity WHERE usename LIKE 'admin%'))",
        "permission denied|must be a|division by zero",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_at_nothing_by_the_database() -> Result<()> {
    env(async |env| {
        let it = Tenants::meet(env).await?;
        for (database, sql, words) in ATTEMPTS {
            let said = it.sql_refusal(database, sql).await?;
            ensure!(
                words.split('|').any(|words| said.contains(words)),
                "{sql}: {said}"
            );
            eprintln!(
                "tenancy: {sql}: {}",
                said.lines().next().unwrap_or_default()
            );
        }
        it.is_unharmed().await
    })
    .await
}
