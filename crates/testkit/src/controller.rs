//! The controller as a process of its own, as a pod would run it.

use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::{Context, Result};

use crate::assets::programs::Program;
use crate::http;
use crate::process::{Lifetime, Process, ProcessBuilder, Workdir, with_free_ports};

/// Whether the controller takes part in leader election.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Election {
    /// Leads at once.
    #[default]
    Off,
    On,
}

/// What to run. Everything else has the defaults of the tests.
#[derive(Debug, Clone, Default)]
pub struct ControllerOptions {
    /// Content of the kubeconfig file; use one of the chart's ServiceAccount.
    pub kubeconfig: String,
    pub class: String,
    /// Content of the config file.
    pub config: String,
    /// The controller's own namespace, `SERVICE_NAMESPACE`.
    pub namespace: String,
    pub election: Election,
    pub env: Vec<(String, String)>,
    pub args: Vec<String>,
    /// Another program than the workspace's db-controller.
    pub binary: Option<PathBuf>,
    pub lifetime: Lifetime,
    /// Where files and log go; `None` for a temporary directory.
    pub dir: Option<PathBuf>,
}

/// A controller that has been ready once.
pub struct ControllerProcess {
    process: Process,
    metrics: String,
    config_path: PathBuf,
}

impl ControllerProcess {
    pub async fn start(options: ControllerOptions) -> Result<Self> {
        let workdir = match &options.dir {
            Some(dir) => Workdir::permanent(dir)?,
            None => Workdir::new("controller")?,
        };
        let program = match options.binary.clone() {
            Some(program) => program,
            None => tokio::task::spawn_blocking(|| Program::Controller.binary()).await??,
        };
        workdir.write("kubeconfig", &options.kubeconfig)?;
        let config_path = workdir.write("config.yaml", &options.config)?;
        with_free_ports(async |[metrics, probes]| {
            let metrics = format!("127.0.0.1:{metrics}");
            let probes = format!("127.0.0.1:{probes}");
            let process = describe(&program, &options, &metrics, &probes)
                .start(&workdir, async || http::is_ok(&probes, "/readyz").await)
                .await?;
            Ok(Self {
                process,
                metrics,
                config_path: config_path.clone(),
            })
        })
        .await
    }

    pub fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.metrics)
    }

    /// The metrics page of this moment.
    pub async fn metrics(&self) -> Result<String> {
        http::get(&self.metrics, "/metrics").await
    }

    /// The value of the one sample that `series` names: `name` or `name{label="value"}`.
    pub async fn metric(&self, series: &str) -> Result<f64> {
        let page = self.metrics().await?;
        page.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
            .with_context(|| format!("no sample {series}"))?
            .trim()
            .parse()
            .with_context(|| format!("the sample {series} is no number"))
    }

    /// The config file; write to it to test a reload.
    pub fn config_path(&self) -> &PathBuf {
        &self.config_path
    }

    /// Everything the controller has logged so far.
    pub fn log(&self) -> Result<String> {
        let path = self.process.log_path();
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn rss_bytes(&self) -> Result<u64> {
        self.process.rss_bytes()
    }

    /// SIGKILL, as the node's out-of-memory killer would.
    pub async fn kill(&self) -> Result<ExitStatus> {
        self.process.kill().await
    }

    /// SIGTERM, as the kubelet would.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.process.stop().await
    }

    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }
}

fn describe(
    program: &PathBuf,
    options: &ControllerOptions,
    metrics: &str,
    probes: &str,
) -> ProcessBuilder {
    let ControllerOptions {
        kubeconfig: _,
        class,
        config: _,
        namespace,
        election,
        env,
        args,
        binary: _,
        lifetime,
        dir: _,
    } = options;
    let builder = ProcessBuilder::new("controller", program)
        .lifetime(*lifetime)
        .args(["--kubeconfig=kubeconfig", "--config-file=config.yaml"])
        .arg(format!("--class={class}"))
        .arg(format!("--metrics-bind-address={metrics}"))
        .arg(format!("--health-probe-bind-address={probes}"))
        .args((*election == Election::On).then_some("--leader-elect"))
        .args(["--zap-encoder=json", "--zap-log-level=debug"])
        .args(args)
        .env("SERVICE_NAMESPACE", namespace);
    env.iter()
        .fold(builder, |builder, (name, value)| builder.env(name, value))
}
