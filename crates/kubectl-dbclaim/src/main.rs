//! `kubectl dbclaim`: shows and steers claims from the command line.
//! It speaks to the API server as its caller, with the caller's rights.

#![expect(clippy::print_stdout, reason = "the answers of a command line tool")]

mod adopt;
mod args;
mod ask;
mod claims;
mod cluster;
mod connect;
mod list;
mod output;
mod pause;
mod plan;
mod revoke;
mod rotate;
mod status;
mod when;
mod who;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::cluster::Cluster;

/// How a command ended. Wrong usage is 2, by clap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// 0.
    Well,
    /// 3: the claim is not ready, or what was waited for did not come.
    NotReady,
    /// As the program did that was run.
    As(u8),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Nothing is installed before this line, so it can't fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(Args::parse()).await {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::NotReady) => ExitCode::from(3),
        Ok(Ended::As(code)) => ExitCode::from(code),
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<Ended> {
    let Args {
        cluster,
        output,
        command,
    } = args;
    let cluster = Cluster::connect(&cluster).await?;
    match command {
        Command::List { all_namespaces } => list::run(&cluster, all_namespaces, output).await,
        Command::Status { claim } => status::run(&cluster, &claim, output).await,
        Command::Rotate {
            claim,
            no_wait,
            timeout,
        } => {
            rotate::run(
                &cluster,
                &claim,
                (!no_wait).then_some(timeout.into()),
                output,
            )
            .await
        }
        Command::Revoke {
            claim,
            generation,
            dry_run,
            timeout,
        } => {
            let wish = revoke::Wish {
                generation,
                is_dry: dry_run,
                patience: timeout.into(),
            };
            revoke::run(&cluster, &claim, wish, output).await
        }
        Command::Who { claim, timeout } => who::run(&cluster, &claim, timeout.into(), output).await,
        Command::Plan { claim, timeout } => {
            plan::run(&cluster, &claim, timeout.into(), output).await
        }
        Command::Adopt(adopting) => adopt::run(&cluster, &adopting, output).await,
        Command::Connect { claim, arguments } => {
            connect::run(&cluster, &claim, &arguments, output).await
        }
        Command::Pause { claim } => pause::run(&cluster, &claim, true, output).await,
        Command::Resume { claim } => pause::run(&cluster, &claim, false, output).await,
    }
}
