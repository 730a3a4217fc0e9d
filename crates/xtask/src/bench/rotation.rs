//! Rotations per second, and where their time goes.

use std::time::{Duration, Instant};

use anyhow::Result;
use kube::api::ListParams;
use serde_json::json;

use super::batch::{self, Batch, Mode};
use super::cpu::Cpu;
use super::report::{Aim, Figure, Report, float, median};
use super::stage::{Logging, Stage};
use super::watch::{Watch, has_handled};
use super::{Effort, say};

const CLAIMS: usize = 200;

/// Due again at once: there is always more to do than can be done.
const PERIOD: &str = "1s";

const WARM_UP: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(20);

pub(super) async fn run(effort: Effort) -> Result<Report> {
    let mut report = Report::new("rotation", effort);
    let mut stage = Stage::with_controller(Logging::Off).await?;
    let count = effort.claims(CLAIMS);
    let batch = Batch::new("rotate", count, Mode::ExistingBare);
    batch.prepare(&stage).await?;
    let timing = batch.create(&stage).await?;
    say(&format!(
        "{count} claims are Ready after {:.1} s",
        timing.total
    ));

    let mut asked = Vec::new();
    for run in 0..effort.runs {
        asked.push(all_at_once(&stage, &batch, run, &mut report).await?);
    }
    let overdue = overdue_at_start(&mut stage, &batch, &mut report).await?;
    let (sustained, cpu) = sustained(&stage, &batch, &mut report).await?;
    stage.stop().await?;

    let aim = Aim::AtLeast(100.0);
    report.figures.extend([
        Figure::new(
            format!("sustained, {count} claims always due"),
            "1/s",
            sustained,
        )
        .original(6.9)
        .aim(aim),
        Figure::new(format!("{count} asked for at once"), "1/s", median(&asked)).aim(aim),
        Figure::new(format!("{count} overdue at a start"), "1/s", overdue)
            .original(6.9)
            .aim(aim),
    ]);
    let parts = [
        ("controller", cpu.controller),
        ("PostgreSQL", cpu.postgres),
        ("kube-apiserver", cpu.apiserver),
        ("etcd", cpu.etcd),
        ("this benchmark", cpu.bench),
    ];
    for (who, value) in parts {
        let what = format!("CPU per rotation, sustained: {who}");
        report.figures.push(Figure::new(what, "ms", value));
    }
    Ok(report)
}

/// Every claim is asked by a nonce; the requests themselves are part of the time.
async fn all_at_once(stage: &Stage, batch: &Batch, run: usize, report: &mut Report) -> Result<f64> {
    let nonce = format!("run-{run}");
    let mut watch = Watch::start(stage.client.clone()).await?;
    let before = Cpu::now(stage)?;
    let started = Instant::now();
    batch.ask_to_rotate(stage, &nonce).await?;
    let done = watch
        .until(batch.count, |claim| has_handled(claim, &nonce))
        .await?;
    let seconds = until_last(done.into_values(), started);
    let rate = float(batch.count) / seconds;
    let cpu = Cpu::now(stage)?.since(before);
    say(&format!(
        "{} asked for at once: {seconds:.2} s, {rate:.1} rotations/s, {:.0} % of the machine used by others",
        batch.count,
        cpu.others_percent(seconds),
    ));
    report.details.push(json!({
        "what": "asked at once", "seconds": seconds, "perSecond": rate, "cpuSeconds": cpu,
    }));
    Ok(rate)
}

/// Every claim becomes due while the controller is away; its start is part of the time.
async fn overdue_at_start(stage: &mut Stage, batch: &Batch, report: &mut Report) -> Result<f64> {
    stage.stop_controller().await?;
    batch.ask_to_rotate(stage, "away").await?;
    let mut watch = Watch::start(stage.client.clone()).await?;
    let started = Instant::now();
    stage.start_controller().await?;
    let done = watch
        .until(batch.count, |claim| has_handled(claim, "away"))
        .await?;
    let seconds = until_last(done.into_values(), started);
    let rate = float(batch.count) / seconds;
    say(&format!(
        "{} overdue at a start: {seconds:.2} s, {rate:.1} rotations/s",
        batch.count
    ));
    report.details.push(json!({
        "what": "overdue at a start", "seconds": seconds, "perSecond": rate,
    }));
    Ok(rate)
}

/// More is due than can be done, for a while. Returns the rate and milliseconds for each.
async fn sustained(stage: &Stage, batch: &Batch, report: &mut Report) -> Result<(f64, Cpu)> {
    let period = |period: &str| json!({ "spec": { "rotation": { "period": period } } });
    batch.patch(stage, &period(PERIOD)).await?;
    tokio::time::sleep(WARM_UP).await;
    let (before, first) = (Cpu::now(stage)?, generations(stage).await?);
    let started = Instant::now();
    tokio::time::sleep(WINDOW).await;
    let (after, last) = (Cpu::now(stage)?, generations(stage).await?);
    let seconds = started.elapsed().as_secs_f64();
    batch.patch(stage, &period("24h")).await?;
    let rotations = float(usize::try_from(last - first)?);
    let (rate, cpu) = (rotations / seconds, after.since(before));
    let each = cpu.each(rotations);
    say(&format!(
        "sustained for {seconds:.0} s: {rate:.1} rotations/s, {:.0} % of the machine used by others",
        cpu.others_percent(seconds),
    ));
    report.details.push(json!({
        "what": "sustained", "seconds": seconds, "rotations": rotations, "perSecond": rate,
        "cpuSeconds": cpu, "cpuMillisecondsPerRotation": each,
    }));
    Ok((rate, each))
}

/// How often the claims' credentials were replaced, all together.
async fn generations(stage: &Stage) -> Result<i64> {
    let claims = batch::api(stage).list(&ListParams::default()).await?;
    let rotations = claims.items.iter().filter_map(|claim| {
        let rotation = claim.status.as_ref()?.rotation.as_ref()?;
        Some(rotation.generation)
    });
    Ok(rotations.sum())
}

fn until_last(all: impl Iterator<Item = Instant>, started: Instant) -> f64 {
    all.max().map_or(0.0, |last| (last - started).as_secs_f64())
}
