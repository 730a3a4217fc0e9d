//! The table of what may be tuned: a key, and how its value is read.

use std::str::FromStr;

use api::names::secret_key;

use super::{Amount, Common, Dbproxy, Dsnexec};

/// Below stand ports that a process without capabilities may not open everywhere.
const FIRST_PORT: u16 = 1024;

const PORT: &str = "a port from 1024 to 65535";
const COUNT: &str = "a whole number from 1 to 10000";
const AMOUNT: &str = "an amount such as 10m, 0.5 or 64Mi";
const LEVEL: &str = "error, warn, info, debug or trace";
const MODE: &str = "transaction or session";
const IMAGE: &str = "the name of an image, without spaces";
const KEY: &str = "dsn.txt, uri_dsn.txt, ro_uri_dsn.txt or uri";

/// Why a setting was not taken.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    #[error("is not known")]
    Unknown,
    /// The key is right, the value is not.
    #[error("must be {wanted}")]
    Invalid { wanted: &'static str },
}

impl Dbproxy {
    /// Takes one setting of the proxy; `key` is what follows `dbproxy-` in the annotation.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match key {
            "port" => self.port = Some(port(value)?),
            "dsn-key" => self.dsn_key = dsn_key(value)?,
            "pool-mode" => self.pool_mode = parsed(value, MODE)?,
            "pool-size" => self.pool_size = Some(count(value)?),
            "max-clients" => self.max_clients = Some(count(value)?),
            _ => return self.common.set(key, value),
        }
        Ok(())
    }
}

impl Dsnexec {
    /// Takes one setting of the executor; `key` is what follows `dsnexec-` in the annotation.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.common.set(key, value)
    }
}

impl Common {
    fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let resources = &mut self.resources;
        match key {
            "image" => self.image = image(value)?,
            "health-port" => self.health_port = port(value)?,
            "log-level" => self.log_level = parsed(value, LEVEL)?,
            "cpu-request" => {
                resources.cpu_request = Some(amount(value)?);
                raise(&mut resources.cpu_limit, resources.cpu_request.as_ref());
            }
            "memory-request" => {
                resources.memory_request = Some(amount(value)?);
                raise(
                    &mut resources.memory_limit,
                    resources.memory_request.as_ref(),
                );
            }
            "cpu-limit" => {
                resources.cpu_limit = Some(amount(value)?);
                lower(&mut resources.cpu_request, resources.cpu_limit.as_ref());
            }
            "memory-limit" => {
                resources.memory_limit = Some(amount(value)?);
                lower(
                    &mut resources.memory_request,
                    resources.memory_limit.as_ref(),
                );
            }
            _ => return Err(Error::Unknown),
        }
        Ok(())
    }
}

/// A limit below what was just requested would be refused by the API server, in its own words.
fn raise(limit: &mut Option<Amount>, request: Option<&Amount>) {
    if let (Some(set), Some(request)) = (&*limit, request)
        && request.exceeds(set)
    {
        *limit = Some(request.clone());
    }
}

/// The same for a request above the limit that was just set.
fn lower(request: &mut Option<Amount>, limit: Option<&Amount>) {
    if let (Some(set), Some(limit)) = (&*request, limit)
        && set.exceeds(limit)
    {
        *request = Some(limit.clone());
    }
}

fn parsed<T: FromStr>(value: &str, wanted: &'static str) -> Result<T, Error> {
    value.parse().map_err(|_| Error::Invalid { wanted })
}

fn port(value: &str) -> Result<u16, Error> {
    let port = parsed(value, PORT)?;
    (port >= FIRST_PORT)
        .then_some(port)
        .ok_or(Error::Invalid { wanted: PORT })
}

fn count(value: &str) -> Result<u16, Error> {
    let count = parsed(value, COUNT)?;
    (1..=10_000)
        .contains(&count)
        .then_some(count)
        .ok_or(Error::Invalid { wanted: COUNT })
}

fn amount(value: &str) -> Result<Amount, Error> {
    Amount::new(value).ok_or(Error::Invalid { wanted: AMOUNT })
}

fn image(value: &str) -> Result<String, Error> {
    let is_image = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic());
    is_image
        .then(|| value.to_owned())
        .ok_or(Error::Invalid { wanted: IMAGE })
}

fn dsn_key(value: &str) -> Result<String, Error> {
    let keys = [
        secret_key::DSN,
        secret_key::URI_DSN,
        secret_key::READ_ONLY_URI_DSN,
        secret_key::URI,
    ];
    keys.contains(&value)
        .then(|| value.to_owned())
        .ok_or(Error::Invalid { wanted: KEY })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_request_never_exceeds_its_limit() {
        let mut dbproxy = Settings::new("default", "proxy:1", "exec:1").dbproxy;
        let mut set = |key: &str, value: &str| {
            dbproxy.set(key, value).unwrap();
            let resources = &dbproxy.common.resources;
            let amounts = [&resources.memory_request, &resources.memory_limit];
            amounts.map(|amount| amount.as_ref().unwrap().quantity().0)
        };
        assert_eq!(set("memory-limit", "16Mi"), ["16Mi", "16Mi"]);
        assert_eq!(set("memory-request", "256Mi"), ["256Mi", "256Mi"]);
        assert_eq!(set("memory-limit", "1Gi"), ["256Mi", "1Gi"]);
    }

    fn check(key: &str, good: &[&str], bad: &[&str]) {
        let mut settings = Settings::new("default", "proxy:1", "exec:1");
        for value in good {
            assert_eq!(settings.dbproxy.set(key, value), Ok(()), "{key}={value}");
        }
        for value in bad {
            let refused = settings.dbproxy.set(key, value);
            assert!(
                matches!(refused, Err(Error::Invalid { .. })),
                "{key}={value}"
            );
        }
    }

    #[test]
    fn row_53_each_setting_takes_what_it_can_use_and_nothing_else() {
        check(
            "port",
            &["1024", "5433", "65535"],
            &["", "80", "65536", "x"],
        );
        check("health-port", &["9000"], &["0", "-1"]);
        check("dsn-key", &["dsn.txt", "uri"], &["password", "../x", ""]);
        check("pool-mode", &["session", "transaction"], &["Session", ""]);
        check("pool-size", &["1", "10000"], &["0", "10001", "many"]);
        check("max-clients", &["200"], &["0", ""]);
        check("log-level", &["trace"], &["verbose"]);
        check("image", &["mirror.local/dbproxy@sha256:00"], &["", "a b"]);
        for key in ["cpu-request", "memory-request", "cpu-limit", "memory-limit"] {
            check(key, &["1", "64Mi"], &["-1", "lots"]);
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_unknown() {
        let mut settings = Settings::new("default", "proxy:1", "exec:1");
        assert_eq!(settings.dbproxy.set("colour", "1"), Err(Error::Unknown));
        assert_eq!(settings.dsnexec.set("pool-mode", "x"), Err(Error::Unknown));
    }
}
