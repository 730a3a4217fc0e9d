//! Developer commands: `cargo xtask <command>`. One module per command, no logic of the product.
#![allow(
    clippy::print_stdout,
    reason = "a developer command speaks to a person"
)]

mod bench;
mod crds;
mod demo;
#[cfg(test)]
mod docs;
mod down;
mod images;
mod local;
mod plugin;
mod programs;
mod setup;
mod signals;
mod specifications;
mod test;
mod tidy;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of db-controller")]
enum Command {
    /// Build or fetch every program that the tests run
    Setup,
    /// Start control plane, PostgreSQL and controller in the background
    Up,
    /// End what `up` started
    Down,
    /// Rotate under load on two real servers and report
    Demo,
    /// Measure speed, cost and size beside the original's figures
    Bench(bench::Args),
    /// Run the specifications of MongoDB's drivers directly and through dbproxy
    Specifications,
    /// Run all tests on shared servers
    Test(test::Args),
    /// Build the container images, without a Docker daemon
    Images(images::Args),
    /// Pack the kubectl plugin for krew
    Plugin(plugin::Args),
    /// Write the CRDs into config/ and the chart
    Crds(crds::Args),
    /// Check the rules of the repository and print its figures
    Tidy,
}

#[tokio::main]
async fn main() -> ExitCode {
    testkit::install_crypto_provider();
    match run(Command::parse()).await {
        Ok(code) => code,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Setup => setup::run().await?,
        Command::Up => up::run().await?,
        Command::Down => down::run().await?,
        Command::Demo => return Box::pin(demo::run()).await,
        Command::Bench(args) => return Box::pin(bench::run(args)).await,
        Command::Specifications => Box::pin(specifications::run()).await?,
        Command::Test(args) => return test::run(args).await,
        Command::Images(args) => images::run(&args)?,
        Command::Plugin(args) => plugin::run(&args)?,
        Command::Crds(args) => crds::run(&args)?,
        Command::Tidy => tidy::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
