//! Carrying bytes between two sockets under the fault of the moment.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Fault;

const CHUNK: usize = 16 * 1024;

/// Returns when either side has ended or the fault demands it; both sockets close then.
pub(super) async fn both_ways(client: TcpStream, server: TcpStream, fault: watch::Receiver<Fault>) {
    let carried = AtomicU64::new(0);
    let mut refused = fault.clone();
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        biased;
        _ = refused.wait_for(|fault| *fault == Fault::Refuse) => {}
        () = one_way(client_read, server_write, fault.clone(), &carried) => {}
        () = one_way(server_read, client_write, fault, &carried) => {}
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut fault: watch::Receiver<Fault>,
    carried: &AtomicU64,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let Ok(fault) = fault
            .wait_for(|fault| *fault != Fault::BlackHole)
            .await
            .map(|fault| *fault)
        else {
            return;
        };
        let allowed = match fault {
            Fault::None | Fault::BlackHole => length,
            Fault::Refuse => return,
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                length
            }
            Fault::CutAfter(limit) => {
                let rest = limit.saturating_sub(carried.load(Ordering::Relaxed));
                length.min(usize::try_from(rest).unwrap_or(length))
            }
        };
        let Some(bytes) = chunk.get(..allowed) else {
            return;
        };
        if to.write_all(bytes).await.is_err() || allowed < length {
            return;
        }
        carried.fetch_add(length as u64, Ordering::Relaxed);
    }
}
