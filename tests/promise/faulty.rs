//! A controller that ends or freezes at a step of the rotation that the test names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use engine::rotation::Step;
use rand::RngExt;
use testkit::TestEnv;
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::process::Workdir;
use testkit::wait::{DEADLINE, wait_for};

use super::turnover::Turnover;

/// What happens at the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill,
    Freeze,
}

/// The process, and the file that names the step at which the fault strikes.
pub(crate) struct Faulty<'e> {
    env: &'e TestEnv,
    options: ControllerOptions,
    workdir: Arc<Workdir>,
    process: ControllerProcess,
}

impl<'e> Faulty<'e> {
    pub(crate) async fn start(env: &'e TestEnv, fault: Fault) -> Result<Self> {
        let workdir = Workdir::new("fault")?;
        let signal = match fault {
            Fault::Kill => "SIGKILL",
            Fault::Freeze => "SIGSTOP",
        };
        let step_file = workdir.join("step").display().to_string();
        let mut options = env.controller_options("").await?;
        options.binary = Some(PathBuf::from(env!("CARGO_BIN_EXE_faulty-controller")));
        options.env = vec![
            ("FAULTY_STEP_FILE".to_owned(), step_file),
            ("FAULTY_SIGNAL".to_owned(), signal.to_owned()),
        ];
        let process = env.start_controller(options.clone()).await?;
        Ok(Self {
            env,
            options,
            workdir,
            process,
        })
    }

    pub(crate) fn process(&self) -> &ControllerProcess {
        &self.process
    }

    /// The next rotation that gets that far meets the fault.
    pub(crate) fn strike_at(&self, step: Step) -> Result<()> {
        let name: &str = step.into();
        let whole = self.workdir.write("step.new", name)?;
        std::fs::rename(whole, self.workdir.join("step")).context("name the step")
    }

    /// Waits until a controller has killed itself, and starts the next one.
    pub(crate) async fn start_after_death(&mut self) -> Result<()> {
        let status = self.process.process().exited_within(DEADLINE).await?;
        ensure!(status.code().is_none(), "it ended by itself: {status}");
        self.start_again().await
    }

    pub(crate) async fn kill_and_start(&mut self) -> Result<()> {
        self.process.kill().await?;
        self.start_again().await
    }

    /// Kills one controller after another, each after a life of at most `life`, until there were
    /// that many rotations. Returns how many died.
    pub(crate) async fn die_at_random(
        &mut self,
        turnover: &Turnover,
        rotations: u64,
        life: Duration,
    ) -> Result<usize> {
        let mut deaths = 0;
        while turnover.rotations().await? < rotations {
            // Not to wait for anything: the instant itself is what is drawn.
            tokio::time::sleep(life.mul_f64(rand::rng().random())).await;
            self.kill_and_start().await?;
            deaths += 1;
        }
        Ok(deaths)
    }

    async fn start_again(&mut self) -> Result<()> {
        self.process = self.env.start_controller(self.options.clone()).await?;
        Ok(())
    }

    /// Waits until the controller has frozen itself.
    pub(crate) async fn frozen(&self) -> Result<()> {
        let path = format!("/proc/{}/stat", self.process.pid());
        wait_for("the controller to freeze", async || {
            let stat = std::fs::read_to_string(&path)?;
            Ok(stat.contains(") T ").then_some(()))
        })
        .await
    }
}
