//! The dbproxy program.

use std::process::ExitCode;

use dbproxy::{Args, Ended};

/// One thread: the work is PgBouncer's, and memory counts in every pod.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    // Nothing is installed before this line, so it can't fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(match dbproxy::run(Args::from_env()).await? {
        Ended::Drained => ExitCode::SUCCESS,
        Ended::Cut => ExitCode::FAILURE,
    })
}
