//! The shipped program with another hook: it dies where a test wants it to.
//!
//! When the file that `FAULTY_STEP_FILE` names holds the name of the step just done, the process
//! removes the file, so that the next one lives, and sends itself the signal that `FAULTY_SIGNAL`
//! names: SIGKILL unless told otherwise, SIGSTOP to be frozen at that very place.

use std::{fs, path::PathBuf, str::FromStr};

use anyhow::Context;
use controller::hook::Hook;
use db_controller::Args;
use engine::rotation::Step;
use nix::sys::signal::{Signal, raise};

struct Fault {
    file: PathBuf,
    signal: Signal,
}

impl Hook for Fault {
    fn reached(&self, step: Step) {
        let name: &str = step.into();
        let is_here = fs::read_to_string(&self.file).is_ok_and(|wanted| wanted.trim() == name);
        // Whoever removes the file has the fault: two rotations at once reach the same step.
        if is_here && fs::remove_file(&self.file).is_ok() {
            let _ = raise(self.signal);
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Nothing is installed before this line, so it can't fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = std::env::var_os("FAULTY_STEP_FILE").context("FAULTY_STEP_FILE names no file")?;
    let signal = match std::env::var("FAULTY_SIGNAL") {
        Ok(name) => Signal::from_str(&name)?,
        Err(_) => Signal::SIGKILL,
    };
    let file = file.into();
    db_controller::run(Args::from_env(), Box::new(Fault { file, signal })).await
}
