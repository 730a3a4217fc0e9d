//! Workloads of every kind through fifty rotations in transaction mode: not one query fails.

use anyhow::Result;
use serde_json::json;

use crate::place::Place;
use crate::work::{connection_per_query, pgbench, stay_after};
use crate::world::world;

const ROTATIONS: usize = 50;

/// Each kind of workload with its own way of using a database.
async fn employ(place: &Place<'_>) -> Result<()> {
    let selector = |app: &str| json!({ "matchLabels": { "app": app } });
    let once = json!({ "spec": { "restartPolicy": "Never" } });

    let night = place.template("night", &[("bench", &pgbench("-M extended"))], once.clone());
    let night = json!({
        "metadata": { "name": "night" },
        "spec": {
            "schedule": "* * * * *", "concurrencyPolicy": "Forbid",
            "jobTemplate": { "spec": { "backoffLimit": 0, "template": night } },
        },
    });
    place.create("batch/v1", "CronJob", night).await?;

    let report = place.template("report", &[("bench", &pgbench("-C"))], once);
    let report = json!({
        "metadata": { "name": "report" }, "spec": { "backoffLimit": 0, "template": report },
    });
    place.create("batch/v1", "Job", report).await?;

    let bench = stay_after(&pgbench("-M simple"));
    let each = stay_after(&connection_per_query());
    let till = place.template("till", &[("bench", &bench), ("each", &each)], json!({}));
    let till = json!({
        "metadata": { "name": "till" }, "spec": { "selector": selector("till"), "template": till },
    });
    place.create("apps/v1", "Deployment", till).await?;

    let ledger = place.template(
        "ledger",
        &[("bench", &stay_after(&pgbench("-M prepared")))],
        json!({}),
    );
    let ledger = json!({
        "metadata": { "name": "ledger" },
        "spec": { "serviceName": "ledger", "selector": selector("ledger"), "template": ledger },
    });
    place.create("apps/v1", "StatefulSet", ledger).await
}

#[tokio::test]
async fn workloads_of_every_kind_lose_no_query_in_fifty_rotations() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "rotations").await?;
    employ(&place).await?;
    let (night, report) = (place.ready("night").await?, place.ready("report").await?);
    let (till, ledger) = (place.ready("till").await?, place.ready("ledger").await?);
    let all = [night.clone(), report.clone(), till.clone(), ledger.clone()];
    for _ in 0..ROTATIONS {
        place.rotate(&all).await?;
    }
    place.end().await?;
    for (pod, container) in [
        (&night, "bench"),
        (&report, "bench"),
        (&till, "bench"),
        (&till, "each"),
        (&ledger, "bench"),
    ] {
        let transactions = place.nothing_failed(pod, container).await?;
        let app = pod
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("app"));
        let app = app.map_or("", String::as_str);
        eprintln!(
            "{ROTATIONS} rotations, {app}/{container}: {transactions} transactions, 0 failed"
        );
    }
    // The sidecar does not keep a Job from ending.
    place.succeeded(&report).await?;
    place.succeeded(&night).await?;
    Ok(())
}
