//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Shows and steers the claims of db-controller.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-dbclaim",
    bin_name = "kubectl dbclaim",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not ready or waited in vain; \
                  connect ends as psql does."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// How answers are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text, global = true)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which cluster, as kubectl has it.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Namespace; unset, that of the kubeconfig's context.
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// The kubeconfig file; unset, KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists claims and role claims with their logins and times.
    List {
        /// Of all namespaces.
        #[arg(short = 'A', long)]
        all_namespaces: bool,
    },
    /// Shows one claim; exit code 3 if it is not ready.
    Status { claim: String },
    /// Replaces the credential now, and waits until it is published.
    Rotate {
        claim: String,
        /// Ask and return.
        #[arg(long)]
        no_wait: bool,
        /// How long to wait, such as 90s or 5m.
        #[arg(long, default_value = "2m")]
        timeout: Timeout,
    },
    /// Makes a leaked credential unusable at once, and cuts the sessions that have it.
    Revoke {
        claim: String,
        /// Number of the leaked credential; earlier ones go with it. Unset, the published one.
        #[arg(long)]
        generation: Option<i64>,
        /// Only show the sessions that would be cut.
        #[arg(long)]
        dry_run: bool,
        /// How long to wait, such as 90s or 5m.
        #[arg(long, default_value = "2m")]
        timeout: Timeout,
    },
    /// Shows who is logged in, by pod.
    Who {
        claim: String,
        /// How long to wait for the answer, such as 90s or 5m.
        #[arg(long, default_value = "1m")]
        timeout: Timeout,
    },
    /// Shows what the controller would do next.
    Plan {
        claim: String,
        /// How long to wait for the answer, such as 90s or 5m.
        #[arg(long, default_value = "1m")]
        timeout: Timeout,
    },
    /// Makes a claim for a database that exists, and waits until it is ready.
    Adopt(Adopting),
    /// Opens psql with the published credential; ends as psql does.
    Connect {
        claim: String,
        /// What psql is given, after `--`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Stops the rotation timer; what is published goes on working.
    Pause { claim: String },
    /// Lets the rotation timer go on.
    Resume { claim: String },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Adopting {
    pub(crate) claim: String,
    /// Where the database is, with the admin's login and without a password, such as
    /// postgres://admin@db.internal:5432/orders.
    #[arg(long)]
    pub(crate) dsn: String,
    /// The Secret with the admin's password, in key password.
    #[arg(long)]
    pub(crate) secret: String,
    /// The owner role that the claim gets; unset, the claim's name.
    #[arg(long)]
    pub(crate) user_name: Option<String>,
    /// The class of the controller that serves it.
    #[arg(long)]
    pub(crate) class: Option<String>,
    /// Only print the claim, for kubectl apply.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to wait, such as 90s or 5m.
    #[arg(long, default_value = "2m")]
    pub(crate) timeout: Timeout,
}

/// A time to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeout(Duration);

impl From<Timeout> for Duration {
    fn from(Timeout(duration): Timeout) -> Self {
        duration
    }
}

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span: jiff::SignedDuration = text.parse().map_err(|err| format!("{err}"))?;
        let duration = Duration::try_from(span).map_err(|_| "it is negative".to_owned())?;
        Ok(Self(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_times_are_those_of_kubectl() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400)] {
            let timeout: Timeout = text.parse().unwrap_or(Timeout(Duration::ZERO));
            assert_eq!(Duration::from(timeout).as_secs(), seconds);
        }
        assert!("soon".parse::<Timeout>().is_err());
    }

    #[test]
    fn the_output_is_said_as_kubectl_takes_it() {
        for words in [
            &["-o", "json", "list"][..],
            &["list", "-o", "json"],
            &["list", "-ojson"],
            &["list", "-o=json"],
            &["list", "--output=json"],
            &["list", "--output", "json"],
        ] {
            let args = Args::try_parse_from(["kubectl-dbclaim"].iter().chain(words));
            let output = args.ok().map(|args| args.output);
            assert_eq!(output, Some(Output::Json), "{words:?}");
        }
        assert!(Args::try_parse_from(["kubectl-dbclaim", "list", "-o", "yaml"]).is_err());
    }
}
