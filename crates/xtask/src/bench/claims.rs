//! From create to Ready: one claim, and many at once.

use anyhow::Result;
use serde_json::json;

use super::batch::{Batch, Mode, Timing};
use super::cpu::Cpu;
use super::report::{Aim, Figure, Report, float, median};
use super::stage::{Logging, Stage};
use super::{Effort, say};

/// Claims at once. The last one takes long, so it is repeated less.
const SIZES: [usize; 4] = [1, 50, 200, 500];
const NEW_SIZES: [usize; 2] = [50, 200];
const RUNS_OF_ONE: usize = 10;

/// A row of measurements on one set of servers.
struct Series {
    title: &'static str,
    stem: &'static str,
    mode: Mode,
    sizes: &'static [usize],
}

const ALL: [Series; 3] = [
    Series {
        title: "existing database",
        stem: "full",
        mode: Mode::Existing,
        sizes: &SIZES,
    },
    Series {
        title: "existing database, extensions: []",
        stem: "bare",
        mode: Mode::ExistingBare,
        sizes: &SIZES,
    },
    Series {
        title: "new database",
        stem: "new",
        mode: Mode::New,
        sizes: &NEW_SIZES,
    },
];

const DOCUMENTS: [Series; 1] = [Series {
    title: "new database on MongoDB",
    stem: "documents",
    mode: Mode::Documents,
    sizes: &[1, 50, 200],
}];

pub(super) async fn run(effort: Effort) -> Result<Report> {
    all(Report::new("claims", effort), &ALL, effort).await
}

/// The same on a replica set of one member.
pub(super) async fn run_mongo(effort: Effort) -> Result<Report> {
    all(Report::new("mongo-claims", effort), &DOCUMENTS, effort).await
}

async fn all(mut report: Report, all: &[Series], effort: Effort) -> Result<Report> {
    for series in all {
        for size in series.sizes {
            measure(&mut report, series, *size, effort).await?;
        }
    }
    Ok(report)
}

/// Fresh servers, a claim to warm up, then as many runs as asked for.
async fn measure(report: &mut Report, series: &Series, size: usize, effort: Effort) -> Result<()> {
    let Series {
        title, stem, mode, ..
    } = series;
    let stage = match mode {
        Mode::Documents => Stage::with_mongod(Logging::Off).await?,
        _ => Stage::with_controller(Logging::Off).await?,
    };
    let warm = Batch::new(format!("{stem}-warm"), 1, *mode);
    warm.prepare(&stage).await?;
    warm.create(&stage).await?;
    let runs = match size {
        1 => RUNS_OF_ONE,
        500 => effort.runs.min(2),
        _ => effort.runs,
    };
    let count = effort.claims(size);
    let mut timings = Vec::new();
    let mut spent = Vec::new();
    for run in 0..runs {
        let batch = Batch::new(format!("{stem}-{run}"), count, *mode);
        batch.prepare(&stage).await?;
        let before = Cpu::now(&stage)?;
        let timing = batch.create(&stage).await?;
        let cpu = Cpu::now(&stage)?.since(before);
        say(&format!(
            "{title}, {count} at once: {:.2} s, {:.1} claims/s, p50 {:.3} s, p99 {:.3} s, {:.0} % of the machine used by others",
            timing.total,
            timing.per_second(),
            timing.percentile(50),
            timing.percentile(99),
            cpu.others_percent(timing.total),
        ));
        report.details.push(json!({
            "what": title,
            "run": timing.details(),
            "cpuSeconds": cpu,
            "cpuMillisecondsPerClaim": cpu.each(float(count)),
        }));
        timings.push(timing);
        spent.push(cpu);
    }
    stage.stop().await?;
    figures(report, series, count, &timings);
    if size == 200 && *mode != Mode::Documents {
        let of = |part: fn(&Cpu) -> f64| {
            median(&spent.iter().map(part).collect::<Vec<_>>()) * 1000.0 / float(count)
        };
        report.notes.push(format!(
            "{title}, {count} at once: CPU per claim {:.1} ms controller, {:.1} ms PostgreSQL, {:.1} ms kube-apiserver and etcd, {:.1} ms this benchmark",
            of(|cpu| cpu.controller),
            of(|cpu| cpu.postgres),
            of(|cpu| cpu.apiserver + cpu.etcd),
            of(|cpu| cpu.bench),
        ));
    }
    Ok(())
}

fn figures(report: &mut Report, series: &Series, count: usize, timings: &[Timing]) {
    let Series { title, mode, .. } = series;
    let of = |part: &dyn Fn(&Timing) -> f64| median(&timings.iter().map(part).collect::<Vec<_>>());
    let is_measured = *mode == Mode::Existing;
    let known = |value: f64| is_measured.then_some(value);
    if count == 1 {
        let figure = Figure {
            original: known(0.152),
            ..Figure::new(format!("{title}, 1"), "s", of(&|t| t.percentile(50)))
        };
        report.figures.push(match mode {
            Mode::New | Mode::Documents => figure,
            _ => figure.aim(Aim::AtMost(0.15)),
        });
        return;
    }
    let (p50, p99, rate) = match count {
        50 => (Some(3.66), Some(8.40), Some(5.8)),
        200 => (Some(18.5), Some(37.9), Some(5.15)),
        _ => (None, None, None),
    };
    let aim = match (mode, count) {
        (Mode::Documents, _) => None,
        (Mode::New, _) => Some(Aim::AtLeast(50.0)),
        (_, 200) => Some(Aim::AtLeast(100.0)),
        _ => None,
    };
    let label = format!("{title}, {count} at once");
    report.figures.extend([
        Figure {
            original: rate.and_then(known),
            aim,
            ..Figure::new(label.clone(), "claims/s", of(&Timing::per_second))
        },
        Figure {
            original: p50.and_then(known),
            ..Figure::new(format!("{label}, p50"), "s", of(&|t| t.percentile(50)))
        },
        Figure {
            original: p99.and_then(known),
            ..Figure::new(format!("{label}, p99"), "s", of(&|t| t.percentile(99)))
        },
    ]);
}
