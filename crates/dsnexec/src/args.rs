//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Choice, Shell};
use crate::pace::Until;

/// Runs commands whenever a DSN changes.
#[derive(Debug, Parser)]
#[command(name = "dsnexec", version)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow the files of all configs, and run their commands at the start and at every change.
    Run(RunArgs),
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The file with the configs.
    #[arg(short, long, default_value = "conf.yaml")]
    pub config_file: PathBuf,
    /// Configs to run although the file disables them, separated by commas.
    #[arg(short, long, value_delimiter = ',')]
    pub enable: Vec<String>,
    /// Configs not to run, separated by commas.
    #[arg(short, long, value_delimiter = ',')]
    pub disable: Vec<String>,
    /// End when each config has run once without an error, as an init container does.
    #[arg(long)]
    pub once: bool,
    /// Let configs run programs (driver shelldb).
    #[arg(long)]
    pub allow_shelldb: bool,
    /// Port of /healthz, /readyz and /metrics on all addresses; 0 is off.
    #[arg(long, env = "DSNEXEC_HEALTH_PORT", default_value = "9128")]
    pub health_port: u16,
    /// error, warn, info, debug or trace.
    #[arg(long, env = "DSNEXEC_LOG_LEVEL", default_value = "info")]
    pub log_level: tracing::Level,
}

impl RunArgs {
    pub fn choice(&self) -> Choice {
        Choice {
            enable: self.enable.clone(),
            disable: self.disable.clone(),
            shell: if self.allow_shelldb {
                Shell::Allowed
            } else {
                Shell::Refused
            },
        }
    }

    pub fn until(&self) -> Until {
        if self.once {
            Until::Success
        } else {
            Until::Stopped
        }
    }
}
