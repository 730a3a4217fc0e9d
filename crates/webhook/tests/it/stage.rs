//! A running webhook on a port of its own, with certificates of a test authority.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use testkit::pki::{self, Authority};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use webhook::certificate::{Leaf, Presented};
use webhook::known::{Engine, Known, Published};
use webhook::metrics::Reviews;
use webhook::serve::{self, Webhook, router};
use webhook::settings::Settings;

pub(crate) const CLASS: &str = "blue";

/// A cache with the claim `shop`, whose Secret is `orders-dsn`, in each namespace.
struct Store;

impl Known for Store {
    fn published(&self, _ns: &str, claim: &str) -> Option<Published> {
        let secret = "orders-dsn".to_owned();
        (claim == "shop").then_some(Published {
            secret,
            engine: Engine::Postgres,
        })
    }

    fn claim_of(&self, _ns: &str, _secret: &str) -> Option<String> {
        None
    }

    fn is_terminating(&self, _ns: &str) -> bool {
        false
    }
}

pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) presented: Presented,
    token: CancellationToken,
    server: JoinHandle<Result<(), serve::Error>>,
}

impl Stage {
    /// Serves on loopback with a certificate of that authority.
    pub(crate) async fn start(authority: &Authority) -> Result<Self> {
        Self::present(&leaf(authority)?).await
    }

    /// Serves on loopback with that certificate.
    pub(crate) async fn present(leaf: &Leaf) -> Result<Self> {
        testkit::install_crypto_provider();
        let webhook = Webhook {
            settings: Arc::new(Settings::new(CLASS, "proxy:1", "exec:1")),
            known: Arc::new(Store),
            reviews: Reviews::new()?,
        };
        let presented = Presented::new(leaf)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let token = CancellationToken::new();
        let server = {
            let (presented, token) = (presented.clone(), token.clone());
            tokio::spawn(
                async move { serve::run(listener, router(webhook), &presented, token).await },
            )
        };
        Ok(Self {
            address,
            presented,
            token,
            server,
        })
    }

    /// Stops the server, which must end by itself and without an error.
    pub(crate) async fn stop(self) -> Result<()> {
        self.token.cancel();
        self.server.await?.context("the server's end")
    }
}

pub(crate) fn leaf(authority: &Authority) -> Result<Leaf> {
    let pki::Leaf { certificate, key } = authority.issue(&[])?;
    Ok(Leaf {
        chain: certificate,
        key: key.into(),
    })
}
