//! SIGTERM and SIGINT end the process in order; the second one ends it at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports of a program that SIGINT ended.
const CUT: i32 = 130;

/// Cancels `token` at the first signal, and exits at the second.
pub fn cancel_on_signal(token: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Lives as long as the process: there is nothing to own it.
    tokio::spawn(async move {
        for attempt in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if attempt == 0 {
                tracing::info!("stopping");
                token.cancel();
            }
        }
        std::process::exit(CUT);
    });
    Ok(())
}
