//! `cargo xtask demo`: the main job on real servers, in about a minute.
//!
//! Two PostgreSQL servers, three claims, an application and a prober behind each published Secret,
//! and a rotation every few seconds; and where a node can run, a labelled pod that knows only
//! localhost. It ends with a report, and fails if one login or one query did.
//! It measures nothing: speed is what `bench` is for.

mod objects;
mod report;
mod stage;
mod till;
mod traffic;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::signals::interrupted;
use report::{REQUIRED_ROTATIONS, Report};
use stage::Stage;
use traffic::Traffic;

/// A few more than required, so that the last one is over before the traffic stops.
const WANTED_ROTATIONS: i64 = REQUIRED_ROTATIONS + 4;

/// How long rotations are waited for.
const PATIENCE: Duration = Duration::from_mins(1);

const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// Prints lines with the time since the start.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn say(self, what: &str) {
        println!("{:5.1} s  {what}", self.0.elapsed().as_secs_f64());
    }
}

pub(crate) async fn run() -> Result<ExitCode> {
    tokio::select! {
        biased;
        interrupted = interrupted() => {
            interrupted?;
            anyhow::bail!("interrupted; nothing stays behind")
        }
        report = perform() => {
            let report = report?;
            println!("\n{report}");
            Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

async fn perform() -> Result<Report> {
    let majors = stage::prepare().await?;
    let clock = Clock(Instant::now());
    let stage = Stage::start(majors, clock).await?;
    let traffic = start_traffic(&stage, clock).await?;
    let outcome = watch(&stage, &traffic, clock).await;
    let mut rows = Vec::new();
    for traffic in traffic {
        rows.push(traffic.stop(&stage).await?);
    }
    outcome?;
    let mut report = Report {
        rows,
        took: clock.0.elapsed(),
    };
    if report.is_good() {
        // What the others have shown is not lost if the pod's part fails.
        let till = till::show(&stage, clock).await;
        report
            .rows
            .extend(till.unwrap_or_else(|err| Some(till::failed(&err))));
        clock.say("ending everything");
        stage.stop().await?;
        report.took = clock.0.elapsed();
    }
    Ok(report)
}

/// Claims, and behind each Secret an application and a prober.
async fn start_traffic(stage: &Stage, clock: Clock) -> Result<Vec<Traffic>> {
    let claims = objects::claims(stage).await?;
    let mut all = Vec::new();
    for claim in claims {
        let ready = objects::ready(stage, &claim.name).await?;
        let login = objects::current_login(&ready);
        clock.say(&format!(
            "claim {}: Ready on {} ({}); Secret {} names login {login}",
            claim.name, claim.server, claim.what, claim.name,
        ));
        all.push(Traffic::start(stage, claim).await?);
    }
    clock.say("an application follows each Secret, and a prober logs in without pause");
    Ok(all)
}

/// Prints how it goes until there were enough rotations, or patience is over.
async fn watch(stage: &Stage, all: &[Traffic], clock: Clock) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut rotations = 0;
        let mut rows = Vec::new();
        for traffic in all {
            let row = traffic.row(stage).await?;
            rotations += row.rotations;
            rows.push(row);
        }
        clock.say(&report::progress(&rows));
        if rotations >= WANTED_ROTATIONS {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            clock.say("too few rotations in a minute; giving up");
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_LINES).await;
    }
}
