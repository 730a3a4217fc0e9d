//! The process: reads the config file, logs, signals, and the port of health and metrics.

use anyhow::Context;
use program::logs::{self, Format};
use program::{listen, signals};
use tokio_util::sync::CancellationToken;

use crate::args::RunArgs;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::run::run;
use crate::status::Status;
use crate::{config, serve};

/// Follows the files of all configs until a signal comes, or until all have run with `--once`.
pub async fn follow(args: RunArgs) -> anyhow::Result<()> {
    logs::start(Format::Json, args.log_level, &["dsnexec", "hotload"]);
    let file = args.config_file.display();
    let text = std::fs::read_to_string(&args.config_file)
        .with_context(|| format!("config file {file} can't be read"))?;
    let configs = config::parse(&text, &args.choice()).with_context(|| format!("in {file}"))?;
    drop(text);

    let token = CancellationToken::new();
    signals::cancel_on_signal(token.clone()).context("signals can't be caught")?;
    let (status, metrics) = (Status::default(), Metrics::new()?);
    let (until, pace) = (args.until(), Pace::default());
    let work = run(configs, until, pace, status.clone(), metrics.clone(), token);
    if args.health_port == 0 {
        return Ok(work.await?);
    }
    let listener = listen::everywhere(args.health_port).await;
    let port = args.health_port;
    let listener =
        listener.with_context(|| format!("health and metrics can't be served on port {port}"))?;
    tokio::select! {
        done = work => Ok(done?),
        // Served to the last: a run that is finished at the end may be asked about.
        served = serve::run(listener, status, metrics, CancellationToken::new()) => {
            Ok(served.context("health and metrics are no longer served")?)
        }
    }
}
