//! A deployment, a Secret with a login in it, and the proxy in front.

use std::time::Duration;

use anyhow::{Context, Result};
use mongo_proxy::{Metrics, Proxy, Settings};
use mongodb::Client;
use mongodb::bson::doc;
use prometheus::Registry;
use testkit::assets::specifications::TEST_COMMANDS;
use testkit::mongod::{Options, Servers, Shape, run};
use testkit::volume::Volume;
use testkit::wait::wait_for;

pub(crate) const DATABASE: &str = "shop";
const SOURCE: &str = "dbclaims";

pub(crate) struct Stage {
    pub(crate) servers: Servers,
    pub(crate) root: Client,
    pub(crate) volume: Volume,
    pub(crate) proxy: Proxy,
    registry: Registry,
}

impl Stage {
    pub(crate) async fn start(shape: Shape) -> Result<Self> {
        Self::start_with(shape, |_| {}).await
    }

    pub(crate) async fn start_with(
        shape: Shape,
        adapt: impl FnOnce(&mut Settings),
    ) -> Result<Self> {
        testkit::install_crypto_provider();
        let options = Options {
            parameters: &[TEST_COMMANDS],
            ..Options::default()
        };
        let servers = Servers::start_with(shape, &options).await?;
        let root = servers.root()?;
        create(&root, "clerk_a", "first").await?;
        let volume = Volume::with(&uri(&servers, "clerk_a", "first"))?;
        let mut settings = Settings::new(volume.file(), 0);
        settings.follow.poll = Duration::from_millis(200);
        adapt(&mut settings);
        let registry = Registry::new();
        let proxy = Proxy::start(settings, Metrics::new(&registry)?).await?;
        wait_for("the proxy", async || {
            Ok(proxy.is_ready().await.then_some(()))
        })
        .await?;
        Ok(Self {
            servers,
            root,
            volume,
            proxy,
            registry,
        })
    }

    /// What an application has: no credential.
    pub(crate) async fn client(&self) -> Result<Client> {
        self.client_with("").await
    }

    pub(crate) async fn client_with(&self, options: &str) -> Result<Client> {
        let uri = format!(
            "mongodb://127.0.0.1:{}/{DATABASE}{options}",
            self.proxy.port()
        );
        Ok(Client::with_uri_str(uri).await?)
    }

    /// The new Secret.
    pub(crate) fn publish(&self, login: &str, password: &str) -> Result<()> {
        self.volume.swap(&uri(&self.servers, login, password))
    }

    pub(crate) async fn create(&self, login: &str, password: &str) -> Result<()> {
        create(&self.root, login, password).await
    }

    pub(crate) async fn set_password(&self, login: &str, password: &str) -> Result<()> {
        let update = doc! { "updateUser": login, "pwd": password };
        run(&self.root, SOURCE, update).await.map(drop)
    }

    pub(crate) async fn drop_login(&self, login: &str) -> Result<()> {
        run(&self.root, SOURCE, doc! { "dropUser": login })
            .await
            .map(drop)
    }

    /// The sum of a metric.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family
            .with_context(|| format!("no metric {name}"))?
            .get_metric();
        Ok(metrics
            .iter()
            .map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value())
            .sum())
    }
}

pub(crate) async fn create(root: &Client, login: &str, password: &str) -> Result<()> {
    let create = doc! {
        "createUser": login,
        "pwd": password,
        "roles": [{ "role": "readWrite", "db": DATABASE }],
        "mechanisms": ["SCRAM-SHA-256"],
        "writeConcern": { "w": "majority", "wtimeout": 10_000 },
    };
    run(root, SOURCE, create).await.map(drop)
}

pub(crate) fn uri(servers: &Servers, login: &str, password: &str) -> String {
    let hosts: Vec<_> = servers
        .ports()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let hosts = hosts.join(",");
    let set = servers
        .set_name()
        .map(|name| format!("&replicaSet={name}"))
        .unwrap_or_default();
    format!("mongodb://{login}:{password}@{hosts}/{DATABASE}?authSource={SOURCE}{set}")
}
