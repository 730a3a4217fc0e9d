//! A labelled pod on a real node: it knows only localhost, its proxy follows the rotations, and the
//! claim's status tells when it has.

use anyhow::{Context, Result, ensure};
use api::names::{annotation, pod as label};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::assets::images;
use testkit::node::{Node, obstacle};
use testkit::postgres::PostgresServer;
use testkit::wait::wait_for;

use super::Clock;
use super::objects;
use super::report::Row;
use super::stage::{CLASS, NAMESPACE, Server, Stage};

/// Claim, pod and container.
const NAME: &str = "till";

const ROTATIONS: usize = 5;

/// A connection for each query, from the moment the proxy serves.
const SCRIPT: &str = "\
until psql -h localhost -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done
while :; do
    if psql -h localhost -Atc 'SELECT count(*) FROM pg_class' >/dev/null; then echo ok; else echo failed; fi
    sleep 0.05
done";

/// The pod's part of the report; `None` where no node can run.
pub(super) async fn show(stage: &Stage, clock: Clock) -> Result<Option<Row>> {
    let Some(till) = Till::start(stage, clock).await? else {
        return Ok(None);
    };
    till.follow(stage, clock).await?;
    let row = till.row(stage).await?;
    till.stop().await?;
    Ok(Some(row))
}

/// A row that no report is good with.
pub(super) fn failed(err: &anyhow::Error) -> Row {
    Row {
        claim: row_name(),
        failures: vec![format!("{err:#}")],
        ..Row::default()
    }
}

fn row_name() -> String {
    format!("{NAME} (a pod)")
}

/// The node with the pod on it.
struct Till {
    // The pod's database ends after the node.
    node: Node,
    server: Server,
    pod: Pod,
}

impl Till {
    /// `None`, said aloud, on a machine where no node can run.
    async fn start(stage: &Stage, clock: Clock) -> Result<Option<Self>> {
        if let Some(obstacle) = obstacle() {
            clock.say(&format!(
                "NOT SHOWN: a labelled pod, as no node can run on this machine: {obstacle}"
            ));
            return Ok(None);
        }
        clock.say("starting a node: containerd and a kubelet, with the proxy's image");
        let node = Node::start(&stage.control_plane, images::CLIENT).await?;
        for tar in tokio::task::spawn_blocking(images::build).await?? {
            node.import(&tar).await?;
        }
        let postgres = PostgresServer::builder()
            .address(node.address().into())
            .offering_tls()
            .start()
            .await?;
        let admin = postgres.create_owner_admin().await?;
        let server = Server {
            name: "third".to_owned(),
            postgres,
            admin,
        };
        objects::admit(&stage.client, &server).await?;
        let spec = json!({ "userName": NAME, "databaseName": NAME, "server": server.name });
        objects::create(&stage.client, NAME, spec).await?;
        objects::ready(stage, NAME).await?;
        let pod = create_pod(stage).await?;
        let till = Self { node, server, pod };
        wait_for("the pod's first query", async || {
            Ok(till.output()?.contains("ok").then_some(()))
        })
        .await?;
        clock.say("pod till: got the proxy dbproxy, and queries localhost, a connection each");
        Ok(Some(till))
    }

    /// Rotates, and waits each time until the claim says that the pod has followed.
    async fn follow(&self, stage: &Stage, clock: Clock) -> Result<()> {
        for _ in 0..ROTATIONS {
            let before = objects::rotations(&objects::get(stage, NAME).await?);
            rotate(stage, before).await?;
            let claim = wait_for("the pod to follow", async || {
                let claim = objects::get(stage, NAME).await?;
                let rotations = objects::rotations(&claim);
                let status = claim.status.clone().unwrap_or_default();
                let consumers = status.consumers.unwrap_or_default();
                let summary = format!("1/1 on generation {}", rotations + 1);
                ensure!(rotations > before, "not rotated yet");
                ensure!(
                    consumers.summary == summary,
                    "its claim says {:?}, without an answer: {:?}",
                    consumers.summary,
                    consumers.unreachable
                );
                Ok(Some(claim))
            })
            .await?;
            let consumers = claim.status.as_ref().and_then(|it| it.consumers.as_ref());
            let summary = consumers.map_or("", |consumers| &consumers.summary);
            let login = objects::current_login(&claim);
            let (queries, failed) = self.counts()?;
            clock.say(&format!(
                "pod till: {summary}, login {login}; {queries} queries ({failed} failed)"
            ));
        }
        Ok(())
    }

    async fn row(&self, stage: &Stage) -> Result<Row> {
        let (queries, failed) = self.counts()?;
        let claim = objects::get(stage, NAME).await?;
        let complaints = self.output()?;
        let complaints = complaints.lines().filter(|line| line.contains("error"));
        let Server { name, postgres, .. } = &self.server;
        Ok(Row {
            claim: row_name(),
            server: format!("{name} (PostgreSQL {})", postgres.major()),
            rotations: objects::rotations(&claim),
            queries,
            failed_queries: failed,
            // Each query has a connection of its own.
            logins: queries,
            failed_logins: failed,
            failures: complaints.take(3).map(str::to_owned).collect(),
        })
    }

    async fn stop(self) -> Result<()> {
        self.node.stop().await?;
        self.server.postgres.stop().await
    }

    fn output(&self) -> Result<String> {
        self.node.output(&self.pod, NAME)
    }

    /// Queries, and those among them that failed.
    fn counts(&self) -> Result<(u64, u64)> {
        let output = self.output()?;
        let count = |word: &str| output.lines().filter(|line| *line == word).count();
        let (good, failed) = (count("ok"), count("failed"));
        Ok((u64::try_from(good + failed)?, u64::try_from(failed)?))
    }
}

async fn rotate(stage: &Stage, nonce: i64) -> Result<()> {
    let annotations = json!({ annotation::ROTATE: format!("demo-{nonce}") });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let claims = objects::all(stage);
    let patched = claims.patch(NAME, &PatchParams::default(), &patch).await;
    patched.context("cannot annotate the claim").map(drop)
}

/// What an application team would apply, once the namespace takes pods; returns it as it runs.
async fn create_pod(stage: &Stage) -> Result<Pod> {
    stage.control_plane.admits_pods(NAMESPACE).await?;
    let pods = Api::<Pod>::namespaced(stage.client.clone(), NAMESPACE);
    let pod = serde_json::from_value(json!({
        "metadata": { "name": NAME, "labels": {
            label::CLAIM: NAME, label::CLASS: CLASS, label::DBPROXY: label::ENABLED,
        }},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": NAME, "image": images::CLIENT, "imagePullPolicy": "Never",
                "command": ["sh", "-c", SCRIPT],
            }],
        },
    }))?;
    pods.create(&PostParams::default(), &pod)
        .await
        .context("cannot create the pod")?;
    wait_for("the pod to run", async || {
        let pod = pods.get(NAME).await?;
        let status = pod.status.clone().unwrap_or_default();
        let is_running = status.phase.as_deref() == Some("Running");
        ensure!(is_running, "{}", serde_json::to_string(&status)?);
        Ok(Some(pod))
    })
    .await
}
