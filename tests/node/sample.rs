//! The published samples of pods with sidecars, as they stand.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::assets::images;
use testkit::postgres::{execute, query};
use testkit::wait::wait_for;

use crate::place::{CLAIM, Place};
use crate::support::merge;
use crate::world::world;

const STATEMENTS: &str = include_str!("statements.yaml");

const SAMPLE: &str = include_str!("sample.yaml");

#[tokio::test]
async fn row_56_the_published_sample_runs_as_it_stands() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "sample").await?;
    world
        .node
        .tag(images::CLIENT, "docker.io/library/postgres:latest")
        .await?;
    let mut sample: Value = serde_saphyr::from_str(SAMPLE)?;
    let containers = sample
        .pointer_mut("/spec/containers/0")
        .context("a container")?;
    // There is no registry to ask whether this is still the latest.
    merge(containers, json!({ "imagePullPolicy": "IfNotPresent" }));
    let label = json!({ "metadata": { "labels": { "app": "sample" } } });
    merge(&mut sample, label);
    place.create("v1", "Pod", sample).await?;
    let pod = place.ready("sample").await?;
    place.says(&pod, "client", "(1 row)").await.map(drop)
}

/// Where the sample's statements find what they change.
async fn prepare(place: &Place<'_>) -> Result<()> {
    let status = place.stage.get(CLAIM).await?.status.unwrap_or_default();
    let owner = status.server.and_then(|server| server.owner_role);
    let owner = owner.context("an owner role")?;
    let secret = place.secret().await?;
    let database = secret.get("database").context("a database")?;
    let superuser = place.world.postgres.superuser().database(database);
    let script = format!(
        "CREATE FOREIGN DATA WRAPPER nothing;
         GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO \"{owner}\";
         CREATE SERVER billing FOREIGN DATA WRAPPER nothing OPTIONS (host 'nowhere');
         ALTER SERVER billing OWNER TO \"{owner}\";
         CREATE TABLE changes (who text, port int);
         ALTER TABLE changes OWNER TO \"{owner}\";"
    );
    execute(&superuser.url(), &script).await
}

#[tokio::test]
async fn row_70_the_statements_of_the_sample_follow_each_rotation() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "statements").await?;
    prepare(&place).await?;
    let secret = json!({
        "metadata": { "name": "statements" }, "stringData": { "config.yaml": STATEMENTS },
    });
    place.create("v1", "Secret", secret).await?;
    let labels = |key: &str| format!("persistance.atlas.infoblox.com/{key}");
    let more = json!({ "metadata": { "labels": {
        labels("dbproxy"): "disabled", labels("dsnexec"): "enabled",
        labels("dsnexec-config"): "statements",
    }}});
    place.pod("ledger", "sleep 1000", more).await?;
    place.ready("ledger").await?;
    for rounds in 1..=3 {
        if rounds > 1 {
            place.stage.rotate(CLAIM).await?;
        }
        let secret = place.secret().await?;
        let uri = crate::support::uri(&secret);
        wait_for(format!("the statements of round {rounds}"), async || {
            let rows = query(&uri, "SELECT who, port::text FROM changes").await?;
            let ours = [secret.get("username"), secret.get("port")].map(Option::<&String>::cloned);
            Ok(rows.contains(&ours.to_vec()).then_some(()))
        })
        .await?;
        let options = "SELECT srvoptions::text FROM pg_foreign_server WHERE srvname = 'billing'";
        let host = secret.get("host").context("a host")?;
        let host = format!("{{host={host}}}");
        assert_eq!(query(&uri, options).await?, [[Some(host)]]);
    }
    Ok(())
}
