//! The dsnexec program.

use clap::Parser;
use dsnexec::args::{Args, Command};
use dsnexec::program;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Nothing is installed before this line, so it can't fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Args::parse().command {
        Command::Run(args) => program::follow(args).await,
    }
}
