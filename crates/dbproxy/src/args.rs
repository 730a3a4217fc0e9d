//! The command line of the original dbproxy, in one-dash and two-dash form, and the environment that
//! the webhook sets. Neither ever holds a credential: that comes as a file.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use program::flags::{self, Zap};
use tracing::Level;

use crate::pgbouncer::{Listen, PoolMode};

/// Lets clients on this host into the database of a mounted Secret, through every rotation.
#[derive(Debug, Parser)]
#[command(name = "dbproxy", version)]
pub struct Args {
    /// The file with the DSN.
    #[arg(long, env = "DBPROXY_CREDENTIAL")]
    pub dbc: PathBuf,
    /// What the database speaks: postgres, by PgBouncer, or mongodb.
    #[arg(long, env = "DBPROXY_ENGINE", value_enum, default_value_t)]
    pub engine: Engine,
    /// Where clients connect, such as localhost:5432; loopback only. Both loopback addresses and
    /// the port of DBPROXY_PORT if not given.
    #[arg(long)]
    pub addr: Option<String>,
    /// PgBouncer's configuration, written here; its folder must be in memory, as it holds the
    /// password, and holds the certificate too.
    #[arg(long, default_value = "/var/run/dbproxy/pgbouncer.ini")]
    pub pbc: PathBuf,
    /// 5432 if not given, for MongoDB 27017.
    #[arg(long, env = "DBPROXY_PORT")]
    pub port: Option<u16>,
    /// transaction or session.
    #[arg(long, env = "DBPROXY_POOL_MODE", default_value_t)]
    pub pool_mode: PoolMode,
    /// Connections to the server, per database name that clients use.
    #[arg(long, env = "DBPROXY_POOL_SIZE", default_value_t = 20)]
    pub pool_size: u32,
    /// Connections of clients.
    #[arg(long, env = "DBPROXY_MAX_CLIENTS", default_value_t = 100)]
    pub max_clients: u32,
    /// A folder for a unix socket as well.
    #[arg(long, env = "DBPROXY_SOCKET_DIR")]
    pub socket_dir: Option<PathBuf>,
    /// Port of /healthz, /readyz and /metrics.
    #[arg(long, env = "DBPROXY_HEALTH_PORT", default_value_t = 9127)]
    pub health_port: u16,
    /// How long clients have to leave after SIGTERM.
    #[arg(long, env = "DBPROXY_DRAIN_SECONDS", default_value_t = 20)]
    pub drain_seconds: u16,
    /// The PgBouncer program.
    #[arg(long, env = "DBPROXY_PGBOUNCER", default_value = "pgbouncer")]
    pub pgbouncer: PathBuf,
    #[arg(long, env = "DBPROXY_LOG_LEVEL", default_value = "info")]
    pub log_level: Level,
    #[command(flatten)]
    pub zap: Zap,

    // Flags of the original that change nothing here.
    #[arg(long, hide = true)]
    pub pgbouncer_start_script: Option<String>,
    #[arg(long, hide = true)]
    pub pgbouncer_reload_script: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    #[default]
    Postgres,
    Mongodb,
}

impl Args {
    /// The process's own arguments.
    pub fn from_env() -> Self {
        Self::parse_from(flags::arguments())
    }

    /// Addresses and port for clients.
    pub(crate) fn listen(&self) -> anyhow::Result<(Listen, u16)> {
        let Some(addr) = &self.addr else {
            let usual = match self.engine {
                Engine::Postgres => 5432,
                Engine::Mongodb => 27017,
            };
            return Ok((Listen::default(), self.port.unwrap_or(usual)));
        };
        let (host, port) = addr
            .rsplit_once(':')
            .with_context(|| format!("-addr={addr} has no port"))?;
        let port = port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .with_context(|| format!("-addr={addr} has no port from 1 to 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let listen = match host {
            "localhost" => Listen::default(),
            // As Go understands it, so that it is refused for what it is.
            "" => Listen::try_from(vec![IpAddr::from(Ipv6Addr::UNSPECIFIED)])?,
            host => {
                let address: IpAddr = host
                    .parse()
                    .with_context(|| format!("-addr={addr} has no address before its port"))?;
                Listen::try_from(vec![address])?
            }
        };
        Ok((listen, port))
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }

    /// `--zap-log-level` comes before `--log-level`.
    pub(crate) fn level(&self) -> Level {
        self.zap.level().unwrap_or(self.log_level)
    }

    /// Says once which flags were given that do nothing.
    pub(crate) fn warn_of_ignored(&self) {
        let given = [
            ("pgbouncer-start-script", &self.pgbouncer_start_script),
            ("pgbouncer-reload-script", &self.pgbouncer_reload_script),
        ];
        for (flag, value) in given {
            if value.is_some() {
                tracing::warn!(flag, "this flag has no effect: PgBouncer is supervised");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use program::flags::with_two_dashes;

    use super::*;

    fn parse(arguments: &[&str]) -> Args {
        let all = std::iter::once("dbproxy").chain(arguments.iter().copied());
        Args::try_parse_from(all.map(OsString::from).map(with_two_dashes)).unwrap()
    }

    #[test]
    fn row_61_flags_are_taken_in_every_form_of_the_original() {
        let args = parse(&["-dbc", "/c", "-addr=localhost:6432", "--pbc", "./x.ini"]);
        assert_eq!(args.dbc, PathBuf::from("/c"));
        assert_eq!(args.listen().unwrap(), (Listen::default(), 6432));
        let scripts = ["-pgbouncer-start-script", "/s", "-zap-devel"];
        let args = parse(&[&["--dbc=/c", "-zap-log-level=2"][..], &scripts].concat());
        assert_eq!(args.level(), Level::DEBUG);
        assert_eq!(args.listen().unwrap(), (Listen::default(), 5432));
    }

    #[test]
    fn row_62_an_address_that_others_reach_is_refused() {
        for addr in ["0.0.0.0:5432", ":5432", "[::]:5432", "10.1.2.3:5432", "x:1"] {
            let args = parse(&["--dbc=/c", "--addr", addr]);
            assert!(args.listen().is_err(), "{addr}");
        }
        for addr in ["127.0.0.1:40000", "[::1]:65535"] {
            let args = parse(&["--dbc=/c", "--addr", addr]);
            assert!(args.listen().is_ok(), "{addr}");
        }
    }
}
