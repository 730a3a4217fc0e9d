//! Encrypted connections to the server: whom the proxy trusts, as the URI says it.

use std::time::Duration;

use anyhow::Result;
use mongo_proxy::{Metrics, Proxy, Settings};
use mongodb::bson::doc;
use prometheus::Registry;
use testkit::mongod::{Options, Servers, Shape, client_of, run};
use testkit::pki::Authority;
use testkit::volume::Volume;
use testkit::wait::wait_for;

use crate::stage::{DATABASE, create, uri};

/// A server under an authority, and a Secret with and without that.
struct Encrypted {
    uri: String,
    volume: Volume,
    _servers: Servers,
}

impl Encrypted {
    async fn start(authority: &Authority) -> Result<Self> {
        testkit::install_crypto_provider();
        let options = Options {
            authority: Some(authority),
            ..Options::default()
        };
        let servers = Servers::start_with(Shape::Standalone, &options).await?;
        create(&servers.root()?, "clerk_a", "first").await?;
        let uri = uri(&servers, "clerk_a", "first");
        Ok(Self {
            volume: Volume::with("")?,
            uri,
            _servers: servers,
        })
    }

    fn publish(&self, options: &str, ca: Option<&str>) -> Result<()> {
        let uri = format!("{}&{options}", self.uri);
        let ca = ca.map(|ca| ("ca.crt", ca));
        let all: Vec<_> = [("dsn", uri.as_str())].into_iter().chain(ca).collect();
        self.volume.swap_all(&all)
    }

    async fn proxy(&self) -> Result<Proxy> {
        let mut settings = Settings::new(self.volume.file(), 0);
        settings.follow.poll = Duration::from_millis(200);
        Ok(Proxy::start(settings, Metrics::new(&Registry::new())?).await?)
    }
}

async fn becomes_ready(proxy: &Proxy) -> Result<()> {
    wait_for("the proxy", async || {
        Ok(proxy.is_ready().await.then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_authority_may_come_later_and_change_beside_the_same_uri() -> Result<()> {
    let (authority, another) = (Authority::new("one")?, Authority::new("another")?);
    let stage = Encrypted::start(&authority).await?;
    stage.publish("tls=true", None)?;
    let proxy = stage.proxy().await?;
    assert!(
        !proxy.is_ready().await,
        "no public authority vouches for it"
    );
    stage.publish("tls=true", Some(&another.pem()))?;
    assert!(!proxy.is_ready().await, "another authority does not either");
    stage.publish("tls=true", Some(&authority.pem()))?;
    becomes_ready(&proxy).await?;
    // What can't be used changes nothing.
    stage.publish("tls=true", Some("no certificate"))?;
    becomes_ready(&proxy).await?;

    let loopback = format!("mongodb://127.0.0.1:{}/{DATABASE}", proxy.port());
    let client = client_of(&loopback.into()).await?;
    run(
        &client,
        DATABASE,
        doc! { "insert": "orders", "documents": [{ "n": 1 }] },
    )
    .await?;
    proxy.shut_down().await;
    Ok(())
}

#[tokio::test]
async fn who_asks_for_encryption_only_gets_it_from_anybody() -> Result<()> {
    let stage = Encrypted::start(&Authority::new("one")?).await?;
    stage.publish("tls=true&tlsAllowInvalidCertificates=true", None)?;
    let proxy = stage.proxy().await?;
    becomes_ready(&proxy).await?;
    proxy.shut_down().await;
    Ok(())
}
