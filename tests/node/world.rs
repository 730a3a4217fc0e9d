//! What the stories share: one cluster with its node, a PostgreSQL server and a release. It starts
//! with the first story and ends with the process.

use std::sync::{Arc, Once};

use anyhow::Result;
use testkit::assets::images;
use testkit::control_plane::{ControlPlane, ControlPlaneOptions};
use testkit::controller::ControllerProcess;
use testkit::node::{Node, obstacle};
use testkit::postgres::PostgresServer;
use tokio::sync::OnceCell;

use crate::release::{NAMESPACE, Release};
use testkit::assets::workspace;

/// The class that the stories share; those that stop a controller have one of their own.
pub(crate) const CLASS: &str = "default";

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) control_plane: ControlPlane,
    pub(crate) postgres: PostgresServer,
    _controller: ControllerProcess,
}

/// The world, or `None`, said aloud, on a machine where no node can run.
pub(crate) async fn world() -> Result<Option<Arc<World>>> {
    static SHARED: OnceCell<Arc<World>> = OnceCell::const_new();
    static SAID: Once = Once::new();
    if let Some(obstacle) = obstacle() {
        SAID.call_once(|| eprintln!("SKIPPED, no node can run here: {obstacle}"));
        return Ok(None);
    }
    let world = SHARED.get_or_try_init(async || World::start().await.map(Arc::new));
    world.await.cloned().map(Some)
}

impl World {
    async fn start() -> Result<Self> {
        testkit::install_crypto_provider();
        let images = tokio::task::spawn_blocking(images::build);
        let control_plane = ControlPlane::start(ControlPlaneOptions::default()).await?;
        control_plane.create_namespace(NAMESPACE).await?;
        let crds = workspace().join("config/crd");
        control_plane.install_crds(&crds).await?;
        let release = Release::install(&control_plane, CLASS).await?;
        let (node, controller) = tokio::try_join!(
            Node::start(&control_plane, images::CLIENT),
            release.controller(),
        )?;
        let postgres = PostgresServer::builder()
            .address(node.address().into())
            .start()
            .await?;
        for image in images.await?? {
            node.import(&image).await?;
        }
        Ok(Self {
            node,
            control_plane,
            postgres,
            _controller: controller,
        })
    }
}
