//! The db-controller program: arguments and wiring only. A library too, so that the tests' build
//! of it differs from the shipped one in nothing but its hook.

mod admission;
mod args;

use std::path::Path;

use anyhow::Context;
use controller::{Gate, MetricsAccess, Options, Settings, hook::Hook};
use kube::{Client, Config, config::KubeConfigOptions};
use program::{logs, signals};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Level;

pub use self::args::Args;

/// The crates whose logs are those of the program.
const OURS: [&str; 4] = ["db_controller", "db_controller_core", "postgres", "webhook"];

/// Runs the controller until a signal or a failure that only a new process can mend.
pub async fn run(args: Args, hook: Box<dyn Hook>) -> anyhow::Result<()> {
    let level = args.zap.level().unwrap_or(Level::INFO);
    logs::start(args.zap.format(), level, &OURS);
    args.warn_of_ignored();
    let token = CancellationToken::new();
    signals::cancel_on_signal(token.clone()).context("signals can't be caught")?;
    let client = client(args.kubeconfig.as_deref()).await?;
    let namespace = args.namespace()?;
    let address = args.webhook_address();
    let webhook = match listener("--webhook-bind-address", address).await? {
        Some(listener) => {
            let server = admission::Server::new(listener, &args, &namespace, client.clone());
            Some(server.context("the webhook can't start")?)
        }
        None => None,
    };
    let gate = match &webhook {
        Some(_) => Gate::default(),
        None => Gate::opened(),
    };
    let options = Options {
        client: client.clone(),
        settings: Settings {
            class: args.class.clone(),
            namespace,
            watch_namespaces: args.watch_namespaces.clone(),
            identity: identity(),
            follows_consumers: args.follow_consumers,
            role_claims_from_any_namespace: args.role_claims_from_any_namespace,
        },
        config_file: args.config_file.clone(),
        leader_elect: args.leader_elect,
        probes: listener(
            "--health-probe-bind-address",
            &args.health_probe_bind_address,
        )
        .await?,
        metrics: listener("--metrics-bind-address", &args.metrics_bind_address).await?,
        metrics_access: if args.metrics_secure {
            MetricsAccess::Secure
        } else {
            MetricsAccess::Open
        },
        gate: gate.clone(),
        collectors: webhook
            .iter()
            .map(|server| server.reviews().collector())
            .collect(),
        hook,
    };
    let controller = Box::pin(async {
        let ended = controller::run(options, token.clone()).await;
        ended.context("db-controller ends")
    });
    let Some(webhook) = webhook else {
        return controller.await;
    };
    let served = Box::pin(async { Ok(webhook.serve(&client, &gate, &token).await?) });
    tokio::try_join!(controller, served)?;
    Ok(())
}

/// The cluster of `--kubeconfig`, of `KUBECONFIG`, or the one that the process runs in.
async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let read = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("kubeconfig {} can't be read", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?
        }
        None => Config::infer()
            .await
            .context("no cluster: run in one, set KUBECONFIG, or give --kubeconfig")?,
    };
    // A watch is silent for up to its own timeout; a request that is no watch has ended by then.
    config.read_timeout = Some(std::time::Duration::from_secs(295));
    config.connect_timeout = Some(std::time::Duration::from_secs(5));
    Ok(Client::try_from(config)?)
}

/// Unlike any other replica's: the pod's name, or host and process.
fn identity() -> String {
    let host = std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty());
    let host = host.or_else(|| {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
    });
    format!(
        "{}_{}",
        host.unwrap_or_else(|| "db-controller".to_owned()),
        std::process::id()
    )
}

/// Binds an address as Go writes it: `:8081` is every address, `0` is none.
async fn listener(flag: &str, address: &str) -> anyhow::Result<Option<TcpListener>> {
    if address == "0" || address.is_empty() {
        return Ok(None);
    }
    let full = if address.starts_with(':') {
        format!("0.0.0.0{address}")
    } else {
        address.to_owned()
    };
    let listener = TcpListener::bind(&full)
        .await
        .with_context(|| format!("{flag}={address} can't be bound"))?;
    Ok(Some(listener))
}
