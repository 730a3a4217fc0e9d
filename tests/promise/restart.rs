//! A restart over settled claims is read-only, and asks no database anything.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::ListParams;
use testkit::assets::workspace;
use testkit::control_plane::{Audit, ControlPlane, ControlPlaneOptions};
use testkit::controller::{ControllerOptions, ControllerProcess};
use testkit::postgres::{PostgresServer, execute, quote};
use testkit::wait::wait_for;

use crate::support::{Stage, existing};

const CLAIMS: usize = 20;
const RESTARTS: usize = 5;
const NAMESPACE: &str = "quiet";

/// A claim's credential is proved at instants of its own, which a restart does not move: one of
/// them must not come while the log is watched.
const UNDISTURBED: &str = "driftCheckPeriod: 24h\n";

/// What a log with `log_connections` says of each connection.
const CONNECTION: &str = "connection received";

/// Servers of its own: on shared ones other tests write and connect too.
async fn stage(control_plane: &ControlPlane) -> Result<(Stage, ControllerOptions)> {
    control_plane.create_namespace(NAMESPACE).await?;
    control_plane
        .install_crds(&workspace().join("config/crd"))
        .await?;
    let chart = control_plane
        .install_chart(NAMESPACE, NAMESPACE, "")
        .await?;
    let account = &chart.service_account;
    let options = ControllerOptions {
        kubeconfig: control_plane
            .service_account_kubeconfig(NAMESPACE, account)
            .await?,
        class: NAMESPACE.to_owned(),
        namespace: NAMESPACE.to_owned(),
        config: UNDISTURBED.to_owned(),
        ..ControllerOptions::default()
    };
    let stage = Stage {
        client: control_plane.client().await?,
        namespace: NAMESPACE.to_owned(),
    };
    Ok((stage, options))
}

async fn settled_claims(stage: &Stage, server: &PostgresServer) -> Result<()> {
    let admin = server.create_owner_admin().await?.dsn;
    let names: Vec<_> = (0..CLAIMS).map(|number| format!("shop-{number}")).collect();
    for name in &names {
        let database = format!("orders_{name}");
        let create = format!("CREATE DATABASE {}", quote(&database));
        execute(&admin.url(), &create).await?;
        let source = admin.clone().database(&database);
        stage
            .claim(name, existing(&format!("clerk_{name}"), &source))
            .await?;
    }
    for name in &names {
        stage.ready(name).await?;
        stage.rotate(name).await?;
    }
    Ok(())
}

/// The version of every claim and Secret.
async fn versions(stage: &Stage) -> Result<BTreeMap<String, Option<String>>> {
    let (claims, secrets) = (stage.claims(), stage.secrets());
    let claims = claims.list(&ListParams::default()).await?;
    let secrets = secrets.list(&ListParams::default()).await?;
    let claims = claims.iter().map(|claim| {
        (
            format!("claim {}", claim.name_any()),
            claim.resource_version(),
        )
    });
    let secrets = secrets.iter().map(|secret| {
        (
            format!("secret {}", secret.name_any()),
            secret.resource_version(),
        )
    });
    Ok(claims.chain(secrets).collect())
}

/// Waits until the controller has looked at all claims and has nothing under way.
async fn has_looked(controller: &ControllerProcess) -> Result<()> {
    let done =
        "controller_runtime_reconcile_total{controller=\"databaseclaim\",result=\"success\"}";
    wait_for("the claims to be looked at", async || {
        let looked = controller.metric(done).await?;
        #[expect(clippy::cast_precision_loss, reason = "a count of twenty")]
        let all = CLAIMS as f64;
        ensure!(looked >= all, "{looked} reconciles");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_84_a_restart_over_settled_claims_writes_nothing_and_connects_to_no_database()
-> Result<()> {
    let options = ControlPlaneOptions {
        audit: Audit::Metadata,
        ..ControlPlaneOptions::default()
    };
    let control_plane = ControlPlane::start(options).await?;
    let server = PostgresServer::builder().log_statements().start().await?;
    let (stage, options) = stage(&control_plane).await?;
    let first = ControllerProcess::start(options.clone()).await?;
    settled_claims(&stage, &server).await?;
    first.stop().await?;

    let is_ours = |user: &str| user.starts_with(&format!("system:serviceaccount:{NAMESPACE}:"));
    let requests_before = control_plane.requests()?.len();
    let versions_before = versions(&stage).await?;
    let logged_before = server.log()?.len();
    let connections_before = server.log()?.matches(CONNECTION).count();
    ensure!(connections_before > CLAIMS, "the log shows connections");
    for _ in 0..RESTARTS {
        let again = ControllerProcess::start(options.clone()).await?;
        has_looked(&again).await?;
        again.kill().await?;
    }
    assert_eq!(versions(&stage).await?, versions_before);
    let log = server.log()?;
    let since = log.get(logged_before..).context("the log shrank")?;
    ensure!(!since.contains(CONNECTION), "a restart connected:\n{since}");
    let requests = control_plane.requests()?;
    let ours: Vec<_> = requests
        .get(requests_before..)
        .context("the audit log shrank")?
        .iter()
        .filter(|request| is_ours(&request.user))
        .collect();
    let writes: Vec<_> = ours.iter().filter(|request| request.is_write()).collect();
    eprintln!(
        "promise: {RESTARTS} restarts over {CLAIMS} claims: {} requests, {} writes, 0 connections",
        ours.len(),
        writes.len()
    );
    ensure!(
        !ours.is_empty(),
        "the audit log shows no request of the controller"
    );
    assert!(writes.is_empty(), "{writes:?}");

    // The controller is not dead: all are served again.
    let last = ControllerProcess::start(options).await?;
    stage.rotate("shop-7").await?;
    last.stop().await?;
    server.stop().await?;
    control_plane.stop().await
}
