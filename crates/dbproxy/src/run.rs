//! Wiring: which tasks there are, and in which order they end.

use std::{pin::pin, time::SystemTime};

use anyhow::Context;
use hotload::follow::{self, follow};
use program::{listen, logs, signals};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::{Args, Engine};
use crate::certificate::Certificate;
use crate::dsn::Upstream;
use crate::keeper::Keeper;
use crate::metrics::Metrics;
use crate::pgbouncer::{Console, Drained, Settings, Supervisor, Tls, prepared_statements};
use crate::serve::{Shared, serve};
use crate::{health, mongo};

/// How dbproxy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every transaction ended by itself.
    Drained,
    /// Clients lost transactions.
    Cut,
}

/// Runs until SIGTERM or SIGINT, then drains. Errors: what only other arguments can mend.
pub async fn run(args: Args) -> anyhow::Result<Ended> {
    let ours = ["dbproxy", "hotload", "mongo_proxy"];
    logs::start(args.zap.format(), args.level(), &ours);
    args.warn_of_ignored();
    let token = CancellationToken::new();
    signals::cancel_on_signal(token.clone()).context("signals can't be caught")?;
    match args.engine {
        Engine::Postgres => postgres(args, token).await,
        Engine::Mongodb => mongo::run(args, token).await,
    }
}

/// A PgBouncer and everything around it.
async fn postgres(args: Args, token: CancellationToken) -> anyhow::Result<Ended> {
    let (listen, port) = args.listen()?;
    let metrics = Metrics::new()?;
    let (pid_sender, pid) = watch::channel(None);
    let console = Console {
        address: listen.first(),
        port,
        pid,
    };
    let pem = args.pbc.with_file_name("tls.pem");
    let certificate = Certificate::make(&pem, SystemTime::now())?;
    let settings = Settings {
        listen,
        port,
        socket_dir: args.socket_dir.clone(),
        pool_mode: args.pool_mode,
        pool_size: args.pool_size,
        max_clients: args.max_clients,
        max_prepared_statements: prepared_statements(&args.pgbouncer).await,
        client_tls: Some(Tls {
            key: pem.clone(),
            certificate: pem,
        }),
        server_ca: None,
    };
    let (wanted, is_wanted) = watch::channel(false);
    let supervisor = Supervisor {
        program: args.pgbouncer.clone(),
        ini: args.pbc.clone(),
        console: console.clone(),
        pid: pid_sender,
        drain: args.drain(),
        wanted: is_wanted,
        metrics: metrics.clone(),
    };
    let (in_use_sender, in_use) = watch::channel(None);
    let keeper = Keeper {
        dsn_file: args.dbc.clone(),
        ini: args.pbc.clone(),
        settings,
        console: console.clone(),
        wanted,
        in_use: in_use_sender,
        metrics: metrics.clone(),
    };
    let shared = Shared {
        dsn_file: args.dbc.clone(),
        in_use,
        console: console.clone(),
        metrics: metrics.clone(),
    };

    // Probes and metrics are served to the very end, so they have a token of their own.
    let very_end = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let listener = probes(&args).await?;
    tasks.spawn(serve(listener, shared, very_end.clone()));
    let (follower, file) = follow(&args.dbc, follow::Options::default(), Upstream::parse);
    let stop = token.clone();
    tasks.spawn(async move {
        let renewal = certificate.keep(&console, stop.clone());
        let readiness = health::watch(&console, &metrics, stop.clone());
        let kept = keeper.run(file, stop.clone());
        tokio::join!(follower.run(stop.clone()), kept, readiness, renewal);
        Ok(())
    });
    let drained = supervise(supervisor, &mut tasks, &token).await?;
    very_end.cancel();
    Ok(match drained {
        Drained::Whole => Ended::Drained,
        Drained::Cut => Ended::Cut,
    })
}

/// The port of probes and metrics.
pub(crate) async fn probes(args: &Args) -> anyhow::Result<TcpListener> {
    let port = args.health_port;
    let listener = listen::everywhere(port).await;
    listener.with_context(|| format!("port {port} of the probes can't be bound"))
}

/// Until PgBouncer is drained; a task that ends before that was asked for is an error.
async fn supervise(
    supervisor: Supervisor,
    tasks: &mut JoinSet<std::io::Result<()>>,
    token: &CancellationToken,
) -> anyhow::Result<Drained> {
    let mut supervised = pin!(supervisor.run(token.clone()));
    loop {
        tokio::select! {
            biased;
            drained = &mut supervised => return Ok(drained),
            Some(ended) = tasks.join_next() => {
                ended.context("a task of dbproxy failed")??;
                anyhow::ensure!(token.is_cancelled(), "a task of dbproxy ended");
            }
        }
    }
}
