//! Which local port stands for which member of the set.
//!
//! Ports follow the listener's own in the order in which the members became known, so that they
//! are the same after a restart: drivers remember members, not the address they began with.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) struct Topology {
    /// The first port to try for a member.
    base: u16,
    ports: Mutex<HashMap<Arc<str>, Port>>,
}

struct Port {
    number: u16,
    /// Ends the listening.
    end: CancellationToken,
}

/// A member's port, to be listened at until `end`.
pub(crate) struct Bound {
    pub(crate) member: Arc<str>,
    pub(crate) listener: TcpListener,
    pub(crate) end: CancellationToken,
}

impl Topology {
    pub(crate) fn new(listen_port: u16) -> Self {
        Self {
            base: listen_port,
            ports: Mutex::default(),
        }
    }

    /// What a driver calls that member.
    pub(crate) fn local(&self, member: &str) -> Option<String> {
        let ports = self.lock();
        ports
            .get(member)
            .map(|port| format!("127.0.0.1:{}", port.number))
    }

    /// Listens for those of `members` that are new.
    pub(crate) fn bind(&self, members: &[String]) -> io::Result<Vec<Bound>> {
        let mut ports = self.lock();
        let mut bound = Vec::new();
        for member in members {
            if ports.contains_key(member.as_str()) {
                continue;
            }
            let listener = self.listener(&ports)?;
            let number = listener.local_addr()?.port();
            let (member, end) = (Arc::<str>::from(member.as_str()), CancellationToken::new());
            let port = Port {
                number,
                end: end.clone(),
            };
            ports.insert(Arc::clone(&member), port);
            bound.push(Bound {
                member,
                listener,
                end,
            });
        }
        Ok(bound)
    }

    /// Frees the ports of those that are not among `members`: all that the primary knows of.
    /// Connections that are open there go on.
    pub(crate) fn keep(&self, members: &[String]) {
        self.lock().retain(|member, port| {
            let is_kept = members.iter().any(|kept| **kept == **member);
            if !is_kept {
                port.end.cancel();
            }
            is_kept
        });
    }

    /// At the first port behind the listener's own that is free, or else at any.
    fn listener(&self, taken: &HashMap<Arc<str>, Port>) -> io::Result<TcpListener> {
        let preferred = (1..=taken.len() + 1).find_map(|place| {
            let port = self.base.checked_add(u16::try_from(place).ok()?)?;
            let is_ours = taken.values().any(|taken| taken.number == port);
            (!is_ours).then(|| StdListener::bind((Ipv4Addr::LOCALHOST, port)).ok())?
        });
        let listener = preferred.map_or_else(|| StdListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Port>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
