//! The few plain HTTP requests that readiness and metrics need, without a client library.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a plain-text answer with status 200. `address` is `host:port`.
pub async fn get(address: &str, path: &str) -> Result<String> {
    tokio::time::timeout(TIMEOUT, exchange(address, path))
        .await
        .with_context(|| format!("{address}{path} did not answer within {TIMEOUT:?}"))?
}

/// Whether `path` answers with status 200.
pub async fn is_ok(address: &str, path: &str) -> bool {
    get(address, path).await.is_ok()
}

/// HTTP/1.0, so that the answer is neither chunked nor kept alive.
async fn exchange(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)
        .await
        .context("cannot connect")?;
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    anyhow::ensure!(
        status == "200",
        "{address}{path} answered {status}: {}",
        body.trim()
    );
    Ok(body.to_owned())
}
