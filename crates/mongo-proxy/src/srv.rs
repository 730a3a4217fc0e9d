//! The hosts of a `mongodb+srv://` URI, which DNS knows and may change.
//!
//! What a name means is MongoDB's "Initial DNS Seedlist Discovery" specification. Its TXT record,
//! which may say where logins are defined, is not asked for: the Secret's URI says that itself.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::SRV;
use tokio::time::{Instant, timeout};

/// How long one look may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Between two looks, whatever the records say of themselves.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot ask DNS for the hosts of {0}")]
    Ask(String, #[source] NetError),
    #[error("DNS does not answer for {0}")]
    Silent(String),
    #[error("DNS names no host of {0}")]
    Nobody(String),
    #[error("DNS names {host} as a host of {name}, which is not in its domain")]
    Foreign { name: String, host: String },
}

/// A name that is looked at again and again.
pub(crate) struct Name {
    text: String,
    resolver: TokioResolver,
    /// When to look next.
    pub(crate) due: Instant,
}

impl Name {
    /// Asks `nameserver`, or those of the system.
    pub(crate) fn new(text: &str, nameserver: Option<SocketAddr>) -> Result<Self, Error> {
        let failed = |err| Error::Ask(text.to_owned(), err);
        let builder = match nameserver {
            None => TokioResolver::builder_tokio().map_err(failed)?,
            Some(address) => {
                let config = ResolverConfig::from_name_servers(vec![plain(address)]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        Ok(Self {
            text: text.to_owned(),
            resolver: builder.build().map_err(failed)?,
            due: Instant::now(),
        })
    }

    /// Each `host:port`; at least one.
    pub(crate) async fn hosts(&mut self) -> Result<Vec<String>, Error> {
        self.due = Instant::now() + SHORTEST;
        let name = || self.text.clone();
        let query = format!("_mongodb._tcp.{}.", self.text);
        let answer = timeout(LIMIT, self.resolver.srv_lookup(query)).await;
        let answer = answer.map_err(|_| Error::Silent(name()))?;
        let answer = answer.map_err(|err| Error::Ask(name(), err))?;
        let records = answer.answers().iter();
        let records = records.filter_map(|record| match &record.data {
            RData::SRV(found) => Some(found),
            _ => None,
        });
        let hosts: Vec<_> = records
            .map(|found| self.host(found))
            .collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Err(Error::Nobody(name()));
        }
        let now = Instant::now();
        let valid_until = Instant::from_std(answer.valid_until());
        self.due = valid_until.clamp(now + SHORTEST, now + LONGEST);
        Ok(hosts)
    }

    /// Nobody but the owner of the domain may say where a password is sent.
    fn host(&self, found: &SRV) -> Result<String, Error> {
        let host = found.target.to_utf8().to_lowercase();
        let host = host.trim_end_matches('.');
        let domain = match self.text.split_once('.') {
            Some((_, domain)) if domain.contains('.') => domain,
            _ => &self.text,
        };
        let is_in = host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'));
        if is_in {
            return Ok(format!("{host}:{}", found.port));
        }
        Err(Error::Foreign {
            name: self.text.clone(),
            host: host.to_owned(),
        })
    }
}

fn plain(address: SocketAddr) -> NameServerConfig {
    let mut connection = ConnectionConfig::new(ProtocolConfig::Udp);
    connection.port = address.port();
    NameServerConfig::new(address.ip(), true, vec![connection])
}

#[cfg(test)]
mod tests {
    use testkit::dns::NameServer;

    use super::*;

    async fn hosts(name: &str, host: &str) -> Result<Vec<String>, Error> {
        let server = NameServer::start(vec![(host.to_owned(), 27_018)]);
        let server = server.await.unwrap();
        let mut name = Name::new(name, Some(server.address))?;
        let found = name.hosts().await;
        assert!(name.due > Instant::now() && name.due < Instant::now() + LONGEST);
        found
    }

    #[tokio::test]
    async fn hosts_outside_the_names_domain_are_refused() {
        for (name, host) in [
            ("set.example.com", "a.example.com."),
            ("set.example.com", "A.B.Example.com."),
            ("set.local", "a.set.local."),
        ] {
            let found = hosts(name, host).await.unwrap();
            let host = host.trim_end_matches('.').to_lowercase();
            assert_eq!(found, [format!("{host}:27018")]);
        }
        for (name, host) in [
            ("set.example.com", "a.example.org."),
            ("set.example.com", "a.badexample.com."),
            ("set.example.com", "example.com."),
            ("set.local", "other.local."),
        ] {
            let refused = hosts(name, host).await;
            assert!(matches!(refused, Err(Error::Foreign { .. })), "{host}");
        }
    }

    #[tokio::test]
    async fn a_name_without_hosts_is_said() {
        let server = NameServer::start(Vec::new()).await.unwrap();
        let mut name = Name::new("set.example.com", Some(server.address)).unwrap();
        assert!(name.hosts().await.is_err());
    }
}
