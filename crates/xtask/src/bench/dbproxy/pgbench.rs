//! pgbench, and what it says.

use std::fmt;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use secrecy::{ExposeSecret, SecretString};
use testkit::assets::postgres;
use testkit::postgres::Dsn;
use testkit::process::Workdir;
use tokio::process::Command;

const SECONDS: u32 = 10;
const QUICK_SECONDS: u32 = 1;

/// Where to connect, and as whom.
pub(super) struct Way {
    port: u16,
    login: String,
    password: SecretString,
}

/// By pgbench's own count.
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) milliseconds: f64,
}

impl Way {
    pub(super) fn direct(login: &Dsn, port: u16) -> Self {
        Self {
            port,
            login: login.login().to_owned(),
            password: login.password().clone(),
        }
    }

    /// As an application knows dbproxy.
    pub(super) fn through(port: u16) -> Self {
        Self {
            port,
            login: "anybody".to_owned(),
            password: "anything".into(),
        }
    }

    pub(super) async fn measure(&self, clients: u32, is_quick: bool) -> Result<Measured> {
        let program = postgres::binaries(postgres::DEFAULT_MAJOR)?.join("pgbench");
        let workdir = Workdir::new("pgbench")?;
        let script = workdir.join("select.sql");
        std::fs::write(&script, "SELECT 1;\n")?;
        let seconds = if is_quick { QUICK_SECONDS } else { SECONDS };
        let output = Command::new(program)
            .args(["-n", "-T", &seconds.to_string(), "-c", &clients.to_string()])
            .args(["-j", if clients > 1 { "2" } else { "1" }, "-f"])
            .arg(&script)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", &self.login, "postgres"])
            .env("PGSSLMODE", "disable")
            .env("PGPASSWORD", self.password.expose_secret())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("pgbench can't be run")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench failed: {text}{said}");
        ensure!(text.contains("failed transactions: 0 "), "failures: {text}");
        let measured = || {
            Some(Measured {
                per_second: number_after(&text, "tps = ")?,
                milliseconds: number_after(&text, "latency average = ")?,
            })
        };
        measured().with_context(|| format!("no figures in {text}"))
    }
}

fn number_after(text: &str, start: &str) -> Option<f64> {
    let (_, rest) = text.split_once(start)?;
    rest.split_whitespace().next()?.parse().ok()
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            per_second,
            milliseconds,
        } = self;
        write!(f, "{per_second:.0}/s, {milliseconds:.3} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_pgbench_prints() {
        let text = "latency average = 0.071 ms\ninitial connection time = 2.3 ms\n\
                    tps = 14084.5 (without initial connection time)\n";
        assert_eq!(number_after(text, "tps = "), Some(14084.5));
        assert_eq!(number_after(text, "latency average = "), Some(0.071));
        assert_eq!(number_after(text, "nothing"), None);
    }
}
