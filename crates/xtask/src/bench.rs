//! `cargo xtask bench`: speed, cost and size, beside the original's figures and our aims.
//!
//! The conditions are those under which the original was measured: everything on this machine, no
//! CPU limit, etcd without fsync, PostgreSQL 15 with it, no TLS to PostgreSQL. It judges nothing by
//! itself: a missed aim is printed as such and is no failure.

mod batch;
mod claims;
mod cost;
mod cpu;
mod dbproxy;
mod memory;
mod mongo_proxy;
mod report;
mod rotation;
mod sidecar;
mod stage;
mod statements;
mod watch;
mod webhook;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use testkit::assets::cargo;

use report::Report;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// How often the large measurements are repeated; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Fewer claims and one run: shows that the benchmarks work, not how fast anything is
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// From create to Ready
    Claims,
    /// Rotations per second, and where their time goes
    Rotation,
    /// API writes, SQL statements and connections per claim
    Cost,
    /// Resident memory
    Memory,
    /// What the webhook takes, and adds to the creation of a pod
    Webhook,
    /// Statements per second and latency through dbproxy, and its memory
    Dbproxy,
    /// From create to Ready on MongoDB
    MongoClaims,
    /// Operations per second and latency through dbproxy for MongoDB, and its memory
    MongoProxy,
    All,
}

/// How much is done.
#[derive(Clone, Copy)]
struct Effort {
    runs: usize,
    is_quick: bool,
}

impl Effort {
    /// `full` claims, or a few.
    fn claims(self, full: usize) -> usize {
        if self.is_quick { full.min(10) } else { full }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let Args { what, runs, quick } = args;
    let effort = Effort {
        runs: if quick { 1 } else { runs.try_into()? },
        is_quick: quick,
    };
    if !matches!(what, What::Dbproxy | What::MongoProxy) {
        tokio::task::spawn_blocking(build_controller).await??;
    }
    let is_asked = |one: What| what == one || what == What::All;
    let mut reports = Vec::new();
    if is_asked(What::Claims) {
        reports.push(finish(Box::pin(claims::run(effort)).await?)?);
    }
    if is_asked(What::Rotation) {
        reports.push(finish(Box::pin(rotation::run(effort)).await?)?);
    }
    if is_asked(What::Cost) {
        reports.push(finish(Box::pin(cost::run(effort)).await?)?);
    }
    if is_asked(What::Memory) {
        reports.push(finish(Box::pin(memory::run(effort)).await?)?);
    }
    if is_asked(What::Webhook) {
        reports.push(finish(Box::pin(webhook::run(effort)).await?)?);
    }
    if is_asked(What::Dbproxy) {
        reports.push(finish(Box::pin(dbproxy::run(effort)).await?)?);
    }
    if is_asked(What::MongoClaims) {
        reports.push(finish(Box::pin(claims::run_mongo(effort)).await?)?);
    }
    if is_asked(What::MongoProxy) {
        reports.push(finish(Box::pin(mongo_proxy::run(effort)).await?)?);
    }
    for report in reports {
        println!("\n{report}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Written at once, so that a later failure loses nothing.
fn finish(report: Report) -> Result<Report> {
    let path = report.write()?;
    say(&format!("written to {}", path.display()));
    Ok(report)
}

fn say(what: &str) {
    println!("bench: {what}");
}

/// What is measured is what is shipped: the release build.
fn build_controller() -> Result<()> {
    say("building the controller with optimisation (minutes, when anything changed)");
    let arguments = ["build", "--quiet", "--release"];
    let status = cargo()
        .args(arguments)
        .args(["--package", "db-controller"])
        .status()?;
    ensure!(status.success(), "the controller can't be built");
    Ok(())
}
