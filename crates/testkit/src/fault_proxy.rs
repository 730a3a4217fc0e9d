//! A TCP proxy before a real server, API server or database alike, that misbehaves on demand.
//!
//! It knows no protocol: faults are those of a network. The mode can change at any time and holds
//! for open connections too.

mod pump;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections are accepted and nothing is ever answered; open ones fall silent.
    BlackHole,
    /// Nobody listens, and open connections end.
    Refuse,
    /// Each chunk arrives that much later.
    Delay(Duration),
    /// Connections end once they have carried that many bytes, both directions together.
    CutAfter(u64),
}

/// A running proxy; it ends when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    connections: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl FaultProxy {
    /// Listens on a free loopback port before `target`, without a fault.
    pub async fn start(target: impl Into<SocketAddr>) -> Result<Self> {
        Self::with_fault(target.into(), Fault::None).await
    }

    /// A listener that accepts and never answers, before nothing at all.
    pub async fn black_hole() -> Result<Self> {
        Self::with_fault((Ipv4Addr::LOCALHOST, 0).into(), Fault::BlackHole).await
    }

    async fn with_fault(target: SocketAddr, fault: Fault) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no free port")?;
        let address = listener.local_addr()?;
        let (fault, current) = watch::channel(fault);
        let connections = Arc::new(AtomicU64::new(0));
        let token = CancellationToken::new();
        let proxy = Proxy {
            address,
            target,
            fault: current,
            connections: Arc::clone(&connections),
        };
        tokio::spawn(token.clone().run_until_cancelled_owned(proxy.run(listener)));
        Ok(Self {
            address,
            fault,
            connections,
            _stop: token.drop_guard(),
        })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

struct Proxy {
    address: SocketAddr,
    target: SocketAddr,
    fault: watch::Receiver<Fault>,
    connections: Arc<AtomicU64>,
}

impl Proxy {
    async fn run(mut self, listener: TcpListener) {
        let tasks = TaskTracker::new();
        let mut listener = Some(listener);
        loop {
            if *self.fault.borrow_and_update() == Fault::Refuse {
                // Only a closed listener makes the kernel refuse.
                listener = None;
                if self.fault.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let Some(open) = &listener else {
                listener = TcpListener::bind(self.address).await.ok();
                tokio::task::yield_now().await;
                continue;
            };
            tokio::select! {
                biased;
                changed = self.fault.changed() => if changed.is_err() { return },
                accepted = open.accept() => if let Ok((client, _)) = accepted {
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    tasks.spawn(serve(client, self.target, self.fault.clone()));
                },
            }
        }
    }
}

/// Connects to the target only once something may pass. Either side's end is the other's.
async fn serve(client: TcpStream, target: SocketAddr, mut fault: watch::Receiver<Fault>) {
    if fault
        .wait_for(|fault| *fault != Fault::BlackHole)
        .await
        .is_err()
    {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    pump::both_ways(client, server, fault).await;
}
