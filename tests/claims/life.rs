//! A claim's whole life on every supported version, under an admin that is no superuser.

use anyhow::{Result, ensure};
use api::names::secret_key as key;
use futures::future::try_join_all;
use serde_json::json;
use testkit::assets::postgres::MAJORS;
use testkit::env;
use testkit::postgres::{PostgresServer, execute, query_one};
use testkit::prober::Prober;

use crate::support::{Stage, ask, log_in, uri};

/// All roles and databases that claims made on a server of the test's own.
const MADE: &str = "SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM (
    SELECT rolname AS name FROM pg_roles WHERE rolname !~ '^(pg_|postgres|admin_)'
    UNION ALL SELECT datname FROM pg_database WHERE datname !~ '^(template|postgres)'
) made";

#[tokio::test(flavor = "multi_thread")]
async fn row_95_a_claim_lives_and_ends_on_every_version_under_a_weak_admin() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let lives = MAJORS.map(|major| Box::pin(life(&stage, major)));
        try_join_all(lives).await.map(drop)
    })
    .await
}

async fn life(stage: &Stage, major: u32) -> Result<()> {
    let postgres = PostgresServer::builder().major(major).start().await?;
    let admin = postgres.create_owner_admin().await?.dsn;
    let is_superuser = "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user";
    ensure!(query_one(&admin.url(), is_superuser).await? == "false");
    let server = format!("pg{major}");
    let port = json!({ "port": postgres.port() });
    let server = stage.server(&server, &admin, port).await?;
    let (gone, kept) = (format!("gone-{major}"), format!("kept-{major}"));
    for (name, role, policy) in [(&gone, "clerk", "Delete"), (&kept, "baker", "Retain")] {
        let spec = json!({
            "userName": role, "databaseName": format!("{role}s_orders"), "server": server,
            "reclaimPolicy": policy,
        });
        stage.claim(name, spec).await?;
    }

    let claim = stage.ready(&gone).await?;
    let version = claim.status.and_then(|status| status.active_db?.dbversion);
    let version = version.unwrap_or_default();
    ensure!(version.starts_with(&format!("{major}.")), "{version}");
    let prober = Prober::start(stage.client.clone(), &stage.namespace, &gone);
    let first = stage.secret(&gone).await?;
    execute(&uri(&first), "CREATE TABLE receipts (id int)").await?;
    stage.rotate(&gone).await?;
    stage.rotate(&gone).await?;
    stage
        .patch(&gone, json!({ "spec": { "userName": "keeper" } }))
        .await?;
    stage.ready(&gone).await?;
    let renamed = stage.secret(&gone).await?;
    ensure!(log_in(&renamed).await? == "keeper", "PostgreSQL {major}");
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'receipts'";
    ensure!(query_one(&uri(&renamed), owner).await? == "keeper");
    let report = prober.stop().await?;
    ensure!(report.failures == 0, "{major}: {:?}", report.first_failures);
    ensure!(report.credentials >= 4, "{major}: {report:?}");

    stage.ready(&kept).await?;
    let published = stage.secret(&kept).await?;
    stage.delete(&gone).await?;
    stage.event(&gone, "Deleted").await?;
    ensure!(stage.secrets().get_opt(&gone).await?.is_none());
    stage.delete(&kept).await?;
    stage.event(&kept, "Retained").await?;
    let made = ask(&postgres, "postgres", MADE).await?;
    ensure!(
        made == "baker baker_a baker_b bakers_orders",
        "{major}: {made}"
    );
    ensure!(stage.secret(&kept).await? == published);
    ensure!(log_in(&published).await? == "baker");
    ensure!(published.get(key::DATABASE).map(String::as_str) == Some("bakers_orders"));
    postgres.stop().await
}
