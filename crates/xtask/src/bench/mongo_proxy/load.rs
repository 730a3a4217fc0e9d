//! Finds by `_id`, from so many tasks at once.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use mongodb::Client;
use mongodb::bson::{RawDocumentBuf, doc};
use mongodb::options::ClientOptions;
use secrecy::{ExposeSecret, SecretString};

use super::super::report::{float, percentile};

pub(super) const DATABASE: &str = "orders";
const COLLECTION: &str = "receipts";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    Large,
}

pub(super) const SIZES: [Size; 2] = [Size::Small, Size::Large];

impl Size {
    fn bytes(self) -> usize {
        match self {
            Self::Small => 100,
            Self::Large => 1 << 20,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "100 bytes",
            Self::Large => "1 MiB",
        })
    }
}

/// A document of each size.
pub(super) async fn fill(client: &Client) -> Result<()> {
    let receipts = client.database(DATABASE).collection(COLLECTION);
    for size in SIZES {
        let id = i64::try_from(size.bytes())?;
        let text = "x".repeat(size.bytes());
        receipts
            .insert_one(doc! { "_id": id, "text": text })
            .await?;
    }
    Ok(())
}

pub(super) async fn one(client: &Client, size: Size) -> Result<()> {
    let receipts = client
        .database(DATABASE)
        .collection::<RawDocumentBuf>(COLLECTION);
    let id = i64::try_from(size.bytes())?;
    let found = receipts.find_one(doc! { "_id": id }).await?;
    found.context("the document is gone").map(drop)
}

/// A client that holds so many connections.
pub(super) async fn with_connections(uri: &SecretString, number: u32) -> Result<Client> {
    let mut options = ClientOptions::parse(uri.expose_secret()).await?;
    options.min_pool_size = Some(number);
    options.max_pool_size = Some(number);
    Ok(Client::with_options(options)?)
}

pub(super) struct Load {
    size: Size,
    clients: usize,
    length: Duration,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Load {
    pub(super) fn new(size: Size, clients: usize, is_quick: bool) -> Self {
        let length = Duration::from_secs(if is_quick { 1 } else { 8 });
        Self {
            size,
            clients,
            length,
        }
    }

    pub(super) async fn measure(&self, uri: &SecretString) -> Result<Measured> {
        let number = u32::try_from(self.clients)?;
        let client = with_connections(uri, number).await?;
        // The first operations open the connections.
        try_join_all((0..self.clients).map(|_| one(&client, self.size))).await?;
        let measured = self.measure_with(&client).await;
        client.shutdown().await;
        measured
    }

    /// So many operations of all clients together.
    pub(super) async fn count(&self, client: &Client, operations: usize) -> Result<()> {
        let each = operations / self.clients;
        let tasks = (0..self.clients).map(|_| {
            let (client, size) = (client.clone(), self.size);
            tokio::spawn(async move {
                for _ in 0..each {
                    one(&client, size).await?;
                }
                anyhow::Ok(())
            })
        });
        try_join_all(tasks).await?.into_iter().collect()
    }

    pub(super) async fn measure_with(&self, client: &Client) -> Result<Measured> {
        let started = Instant::now();
        let tasks = (0..self.clients).map(|_| {
            let (client, size, length) = (client.clone(), self.size, self.length);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while started.elapsed() < length {
                    let before = Instant::now();
                    one(&client, size).await?;
                    times.push(before.elapsed().as_secs_f64() * 1000.0);
                }
                anyhow::Ok(times)
            })
        });
        let mut all = Vec::new();
        for times in try_join_all(tasks).await? {
            all.extend(times?);
        }
        Ok(Measured {
            per_second: float(all.len()) / started.elapsed().as_secs_f64(),
            p50: percentile(&all, 50),
            p99: percentile(&all, 99),
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            per_second,
            p50,
            p99,
        } = self;
        write!(f, "{per_second:.0}/s, p50 {p50:.3} ms, p99 {p99:.3} ms")
    }
}
