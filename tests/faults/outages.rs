//! Servers that go away and come back.

use anyhow::Result;
use api::conditions::Type;
use testkit::assets::workspace;
use testkit::control_plane::{ControlPlane, ControlPlaneOptions, Controllers};
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::env;
use testkit::postgres::PostgresServer;

use super::OFTEN;
use crate::support::{Stage, existing, log_in};

#[tokio::test]
async fn postgresql_may_stop_and_start() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller(OFTEN).await?;
        let mut server = PostgresServer::builder().start().await?;
        let admin = server.create_owner_admin().await?.dsn;
        server.create_database("orders", admin.login()).await?;
        let admin = admin.database("orders");
        stage.claim("shop", existing("clerk", &admin)).await?;
        stage.ready("shop").await?;
        let before = stage.secret("shop").await?;
        server.stop().await?;
        stage
            .condition("shop", Type::ConnectionIssue, "Unavailable")
            .await?;
        let note = stage.event("shop", "Unavailable").await?;
        assert!(
            note.contains(&server.port().to_string()),
            "the Event names the server: {note}"
        );
        server.start_again().await?;
        stage.ready("shop").await?;
        stage.event("shop", "Recovered").await?;
        assert_eq!(
            stage.secret("shop").await?,
            before,
            "an outage changes no credential"
        );
        assert_eq!(log_in(&before).await?, "clerk");
        assert!(controller.process().is_running());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_api_server_may_stop_and_start() -> Result<()> {
    let options = ControlPlaneOptions {
        controllers: Controllers::None,
        ..ControlPlaneOptions::default()
    };
    let (mut cluster, server) = tokio::try_join!(
        ControlPlane::start(options),
        PostgresServer::builder().start()
    )?;
    let stage = Stage {
        client: cluster.client().await?,
        namespace: "outage".to_owned(),
    };
    cluster.create_namespace("outage").await?;
    cluster
        .install_crds(&workspace().join("config/crd"))
        .await?;
    let chart = cluster.install_chart("outage", "outage", "").await?;
    let account = cluster.service_account_kubeconfig("outage", &chart.service_account);
    let controller = ControllerProcess::start(ControllerOptions {
        kubeconfig: account.await?,
        class: "outage".to_owned(),
        namespace: "outage".to_owned(),
        config: OFTEN.to_owned(),
        ..ControllerOptions::default()
    })
    .await?;
    let admin = server.create_owner_admin().await?.dsn;
    server.create_database("orders", admin.login()).await?;
    let admin = admin.database("orders");
    stage.claim("shop", existing("clerk", &admin)).await?;
    stage.ready("shop").await?;
    let before = stage.secret("shop").await?;

    cluster.stop_apiserver().await?;
    assert_eq!(
        log_in(&before).await?,
        "clerk",
        "applications notice nothing"
    );
    cluster.start_apiserver().await?;

    let claim = stage.rotate("shop").await?;
    assert_eq!(
        crate::support::rotation_of(&claim).map(|r| r.generation),
        Some(2)
    );
    assert_eq!(log_in(&stage.secret("shop").await?).await?, "clerk");
    stage.ready("shop").await?;
    assert!(controller.process().is_running());
    controller.stop().await?;
    server.stop().await?;
    cluster.stop().await
}
