//! `cargo xtask test`: all tests of the workspace, on one set of servers.

use std::process::ExitCode;

use anyhow::{Context, Result};
use testkit::assets::cargo;
use testkit::assets::programs::Program;
use testkit::env::{ENV_VARIABLE, Servers};

use crate::setup;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Handed on to `cargo test`: `cargo xtask test -p db-controller-testkit -- prober`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let Args { rest } = args;
    setup::run().await?;
    let build = || Program::ALL.map(|program| (program.variable(), program.binary()));
    let binaries = tokio::task::spawn_blocking(build).await?;
    let servers = Servers::start().await?;
    let file = tempfile::NamedTempFile::new().context("no temporary file")?;
    servers.write_file(file.path())?;

    let names_packages = rest
        .iter()
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    let mut tests = cargo();
    tests
        .arg("test")
        .args((!names_packages).then_some("--workspace"))
        .args(rest)
        .env(ENV_VARIABLE, file.path());
    for (variable, binary) in binaries {
        tests.env(variable, binary?);
    }
    let status = tokio::task::spawn_blocking(move || tests.status()).await?;
    servers.stop().await?;
    let status = status.context("cannot run cargo test")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
