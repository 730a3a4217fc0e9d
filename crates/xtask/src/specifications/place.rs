//! A server for a suite, and dbproxy before it where that is wished.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use testkit::assets::specifications::TEST_COMMANDS;
use testkit::assets::{cargo, workspace};
use testkit::mongod::{Options, Servers, Shape};
use testkit::process::{Process, ProcessBuilder, Workdir, with_free_ports};
use testkit::volume::Volume;
use testkit::{http, wait};

pub(super) const LOGIN: &str = "tester";
pub(super) const PASSWORD: &str = "of-the-tester";

pub(super) struct Place {
    pub(super) port: u16,
    _servers: Servers,
    _proxy: Option<(Process, Volume, Arc<Workdir>)>,
}

impl Place {
    pub(super) async fn direct() -> Result<Self> {
        let servers = servers().await?;
        let port = servers.ports().next().context("no server")?;
        Ok(Self {
            port,
            _servers: servers,
            _proxy: None,
        })
    }

    pub(super) async fn proxied() -> Result<Self> {
        let servers = servers().await?;
        let server = servers.ports().next().context("no server")?;
        let uri = format!("mongodb://{LOGIN}:{PASSWORD}@127.0.0.1:{server}/?replicaSet=rs0");
        let (port, health, proxy) = with_free_ports(async |[port, health]: [u16; 2]| {
            let workdir = Workdir::new("dbproxy")?;
            let volume = Volume::at(workdir.join("secret"))?;
            volume.swap(&uri)?;
            let address = format!("127.0.0.1:{health}");
            let program = workspace().join("target/debug/dbproxy");
            let process = ProcessBuilder::new("dbproxy", program)
                .env("DBPROXY_ENGINE", "mongodb")
                .env("DBPROXY_CREDENTIAL", volume.file())
                .env("DBPROXY_PORT", port.to_string())
                .env("DBPROXY_HEALTH_PORT", health.to_string())
                .start(&workdir, async || http::is_ok(&address, "/healthz").await)
                .await?;
            Ok((port, address, (process, volume, workdir)))
        })
        .await?;
        wait::wait_for("dbproxy to be ready", async || {
            http::get(&health, "/readyz").await?;
            Ok(Some(()))
        })
        .await?;
        Ok(Self {
            port,
            _servers: servers,
            _proxy: Some(proxy),
        })
    }
}

async fn servers() -> Result<Servers> {
    let options = Options {
        parameters: &[TEST_COMMANDS],
        ..Options::default()
    };
    let servers = Servers::start_with(Shape::Set(1), &options).await?;
    // Tests set fail points and end the sessions of others.
    servers.create_root(LOGIN, PASSWORD).await?;
    Ok(servers)
}

/// The program under test.
pub(super) fn build() -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--package", "db-controller-dbproxy"]);
    ensure!(build.status()?.success(), "dbproxy can't be built");
    Ok(())
}
