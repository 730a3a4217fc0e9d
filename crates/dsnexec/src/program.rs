//! The process: reads the config file, logs, signals, and the port of health and metrics.

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::RunArgs;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::run::run;
use crate::status::Status;
use crate::{config, serve};

/// Follows the files of all configs until a signal comes, or until all have run with `--once`.
pub async fn follow(args: RunArgs) -> anyhow::Result<()> {
    start_logs(args.log_level);
    let file = args.config_file.display();
    let text = std::fs::read_to_string(&args.config_file)
        .with_context(|| format!("config file {file} can't be read"))?;
    let configs = config::parse(&text, &args.choice()).with_context(|| format!("in {file}"))?;
    drop(text);

    let token = CancellationToken::new();
    cancel_on_signal(token.clone())?;
    let (status, metrics) = (Status::default(), Metrics::new()?);
    let (until, pace) = (args.until(), Pace::default());
    let work = run(configs, until, pace, status.clone(), metrics.clone(), token);
    if args.health_port == 0 {
        return Ok(work.await?);
    }
    let listener = listen(args.health_port).await?;
    tokio::select! {
        done = work => Ok(done?),
        // Served to the last: a run that is finished at the end may be asked about.
        served = serve::run(listener, status, metrics, CancellationToken::new()) => {
            Ok(served.context("health and metrics are no longer served")?)
        }
    }
}

/// On all addresses of the pod: the kubelet asks from outside of it.
async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let listener = match TcpListener::bind(("::", port)).await {
        // A node without IPv6.
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
        bound => bound,
    };
    listener.with_context(|| format!("health and metrics can't be served on port {port}"))
}

/// Libraries speak from `warn` up, and sqlx never: it logs what servers say.
fn start_logs(level: tracing::Level) {
    let filter = EnvFilter::new(format!("warn,sqlx=off,dsnexec={level},hotload={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    // Only a second subscriber could fail here.
    let _ = builder
        .with_writer(std::io::stderr)
        .json()
        .flatten_event(true)
        .try_init();
}

/// The second signal ends the process at once.
fn cancel_on_signal(token: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Lives as long as the process: there is nothing to own it.
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if token.is_cancelled() {
                break;
            }
            tracing::info!("stopping");
            token.cancel();
        }
        std::process::exit(130);
    });
    Ok(())
}
