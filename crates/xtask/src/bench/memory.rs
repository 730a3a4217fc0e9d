//! Resident memory of the controller: idle, with claims, and beside other people's Secrets.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use super::batch::{Batch, Mode};
use super::report::{Aim, Figure, Report};
use super::stage::{Logging, Stage};
use super::{Effort, say};

/// Caches are filled and buffers given back by then.
const SETTLING: Duration = Duration::from_secs(5);

/// Requests under way at once.
const AT_ONCE: usize = 16;

const FOREIGN_SECRETS: usize = 2000;
const FOREIGN_BYTES: usize = 7500;
const FOREIGN_NAMESPACE: &str = "foreign";

/// Databases that the claims of one size share.
const SHARED_DATABASES: usize = 250;

/// Claims in all, with what the original needed after their creation and after a restart, and our
/// aim.
const SIZES: [Size; 3] = [
    Size {
        claims: 200,
        original: Some((70.8, 66.3)),
        aim: None,
    },
    Size {
        claims: 500,
        original: None,
        aim: Some(Aim::AtMost(35.0)),
    },
    Size {
        claims: 5000,
        original: None,
        aim: Some(Aim::AtMost(60.0)),
    },
];

#[derive(Clone, Copy)]
struct Size {
    claims: usize,
    original: Option<(f64, f64)>,
    aim: Option<Aim>,
}

pub(super) async fn run(effort: Effort) -> Result<Report> {
    let mut report = Report::new("memory", effort);
    let mut stage = Stage::with_controller(Logging::Off).await?;
    let idle = resident(&stage).await?;
    let figure = Figure::new("idle, 0 claims", "MiB", idle);
    report
        .figures
        .push(figure.original(51.9).aim(Aim::AtMost(25.0)));
    let mut there = 0;
    for size in SIZES {
        there += grow(&mut report, &mut stage, size, there, effort).await?;
        if size.original.is_some() {
            foreign(&mut report, &mut stage, there).await?;
        }
    }
    stage.stop().await?;
    report.notes.push(format!(
        "all claims are real and Ready; they share {SHARED_DATABASES} databases and ask for no extensions"
    ));
    Ok(report)
}

/// Adds claims up to `size`; returns how many.
async fn grow(
    report: &mut Report,
    stage: &mut Stage,
    size: Size,
    there: usize,
    effort: Effort,
) -> Result<usize> {
    let Size {
        claims,
        original,
        aim,
    } = size;
    let more = effort.claims(claims - there);
    let all = there + more;
    let batch = Batch::new(
        format!("size-{claims}"),
        more,
        Mode::Shared(SHARED_DATABASES),
    );
    batch.prepare(stage).await?;
    let timing = batch.create(stage).await?;
    say(&format!(
        "{all} claims are Ready, the last {more} took {:.0} s",
        timing.total
    ));
    let made = resident(stage).await?;
    stage.restart_controller().await?;
    let restarted = resident(stage).await?;
    let (original_made, original_restarted) = original.unzip();
    let add = |when: &str, value: f64, original: Option<f64>| Figure {
        original,
        aim,
        ..Figure::new(format!("{all} claims, {when}"), "MiB", value)
    };
    report.figures.extend([
        add("after their creation", made, original_made),
        add("after a restart", restarted, original_restarted),
    ]);
    Ok(more)
}

/// Other people's Secrets come, and go again.
async fn foreign(report: &mut Report, stage: &mut Stage, claims: usize) -> Result<()> {
    stage
        .control_plane
        .create_namespace(FOREIGN_NAMESPACE)
        .await?;
    let before = resident(stage).await?;
    let secrets = Api::<Secret>::namespaced(stage.client.clone(), FOREIGN_NAMESPACE);
    let content = "x".repeat(FOREIGN_BYTES);
    stream::iter(0..FOREIGN_SECRETS)
        .map(async |number| {
            let secret: Secret = serde_json::from_value(json!({
                "metadata": { "name": format!("foreign-{number:05}") },
                "stringData": { "content": content },
            }))?;
            secrets.create(&PostParams::default(), &secret).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .context("cannot create foreign Secrets")?;
    let beside = resident(stage).await?;
    stage.restart_controller().await?;
    let restarted = resident(stage).await?;
    secrets
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    let what = format!("{claims} claims and {FOREIGN_SECRETS} foreign Secrets");
    report.figures.extend([
        Figure::new(format!("{what}, after a restart"), "MiB", restarted).original(101.4),
        Figure::new(
            format!("growth by {FOREIGN_SECRETS} foreign Secrets"),
            "MiB",
            beside - before,
        )
        .original(34.9)
        .aim(Aim::AtMost(1.0)),
    ]);
    Ok(())
}

async fn resident(stage: &Stage) -> Result<f64> {
    tokio::time::sleep(SETTLING).await;
    let rss = stage.rss()?;
    say(&format!("resident: {rss:.1} MiB"));
    Ok(rss)
}
