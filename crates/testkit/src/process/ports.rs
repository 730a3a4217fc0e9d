//! Free loopback ports, and another try when somebody else was faster.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

const ATTEMPTS: usize = 5;

/// A port of the loopback interface that nothing listened on a moment ago.
pub fn free_port() -> Result<u16> {
    let [port] = free_ports()?;
    Ok(port)
}

/// Runs `attempt` with free ports, and again with others while it fails because one was taken.
pub async fn with_free_ports<T, const N: usize>(
    mut attempt: impl AsyncFnMut([u16; N]) -> Result<T>,
) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match attempt(free_ports()?).await {
            Err(err) if is_port_taken(&err) => {}
            outcome => return outcome,
        }
    }
    attempt(free_ports()?).await
}

/// The listeners live until all ports are known, so the ports differ from each other.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// The last lines of a failed process are part of the error, in each program's own words.
fn is_port_taken(err: &anyhow::Error) -> bool {
    format!("{err:#}")
        .to_lowercase()
        .contains("address already in use")
}
