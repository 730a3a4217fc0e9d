//! Which local port stands for which member of the set.
//!
//! Ports follow the listener's own in the order in which the members became known, so that they
//! are the same after a restart: drivers remember members, not the address they began with.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;

pub(crate) struct Topology {
    /// The first port to try for a member.
    base: u16,
    ports: Mutex<HashMap<Arc<str>, u16>>,
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
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.get(member).map(|port| format!("127.0.0.1:{port}"))
    }

    /// Listens for those of `members` that are new.
    pub(crate) fn bind(&self, members: &[String]) -> io::Result<Vec<(Arc<str>, TcpListener)>> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bound = Vec::new();
        for member in members {
            if ports.contains_key(member.as_str()) {
                continue;
            }
            let place = u16::try_from(ports.len()).unwrap_or(u16::MAX);
            let preferred = self
                .base
                .checked_add(1)
                .and_then(|first| first.checked_add(place));
            let listener = preferred
                .and_then(|port| StdListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
                .map_or_else(|| StdListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)?;
            listener.set_nonblocking(true)?;
            let member: Arc<str> = Arc::from(member.as_str());
            ports.insert(Arc::clone(&member), listener.local_addr()?.port());
            bound.push((member, TcpListener::from_std(listener)?));
        }
        Ok(bound)
    }
}
