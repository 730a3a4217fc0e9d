//! Claims made together, and what they need on the server beforehand.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context, Result};
use api::claim::DatabaseClaim;
use api::names::annotation;
use api::server::DatabaseServer;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::postgres::{PostgresServer, SUPERUSER, execute, quote};
use testkit::wait::wait_for;

use super::report::{float, percentile};
use super::stage::{ADMIN_SECRET, HOME, NAMESPACE, Stage};
use super::watch::{Watch, is_ready};

/// Requests of the benchmark's own that are under way at once.
const AT_ONCE: usize = 16;

/// Connections that make databases beforehand.
const MAKERS: usize = 4;

const SERVER: &str = "bench";
const OWNER_SECRET: &str = "owner";

/// What kind of claims.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// On a database of its own, made beforehand; the configuration's list of extensions.
    Existing,
    /// The same, with an empty list.
    ExistingBare,
    /// The same, on one of so many databases that claims share.
    Shared(usize),
    /// A new database on a DatabaseServer.
    New,
    /// The same on MongoDB.
    Documents,
}

impl Mode {
    fn engine(self) -> &'static str {
        match self {
            Self::Documents => "mongodb",
            _ => "postgres",
        }
    }
}

/// Claims `<stem>-<number>`.
#[derive(Clone)]
pub(super) struct Batch {
    pub stem: String,
    pub count: usize,
    pub mode: Mode,
}

/// How long a batch took, in seconds.
pub(super) struct Timing {
    /// From the first request to the last claim that became Ready.
    pub total: f64,
    /// From each claim's request to its becoming Ready.
    pub latencies: Vec<f64>,
}

impl Timing {
    pub(super) fn per_second(&self) -> f64 {
        float(self.latencies.len()) / self.total
    }

    pub(super) fn percentile(&self, percent: usize) -> f64 {
        percentile(&self.latencies, percent)
    }

    pub(super) fn details(&self) -> Value {
        json!({
            "claims": self.latencies.len(),
            "totalSeconds": self.total,
            "perSecond": self.per_second(),
            "p50": self.percentile(50),
            "p99": self.percentile(99),
            "max": self.percentile(100),
        })
    }
}

impl Batch {
    pub(super) fn new(stem: impl Into<String>, count: usize, mode: Mode) -> Self {
        Self {
            stem: stem.into(),
            count,
            mode,
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|number| self.name(number))
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{number:05}", self.stem)
    }

    /// The databases that must exist.
    fn databases(&self) -> Vec<String> {
        match self.mode {
            Mode::New | Mode::Documents => Vec::new(),
            Mode::Existing | Mode::ExistingBare => self.names().collect(),
            Mode::Shared(databases) => (0..databases.min(self.count))
                .map(|number| self.name(number))
                .collect(),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the object was made a few lines above"
    )]
    fn claim(&self, number: usize, port: u16) -> Result<DatabaseClaim> {
        let name = self.name(number);
        let mut spec = json!({ "userName": name, "databaseName": name });
        if matches!(self.mode, Mode::New | Mode::Documents) {
            spec["server"] = json!(SERVER);
            spec["type"] = json!(self.mode.engine());
        } else {
            let database = match self.mode {
                Mode::Shared(databases) => self.name(number % databases),
                _ => name.clone(),
            };
            let dsn = format!("postgres://{SUPERUSER}@localhost:{port}/{database}?sslmode=disable");
            spec["useExistingSource"] = json!(true);
            spec["sourceDataFrom"] = json!({
                "type": "database",
                "database": { "dsn": dsn, "secretRef": { "name": ADMIN_SECRET } },
            });
        }
        if matches!(self.mode, Mode::ExistingBare | Mode::Shared(_)) {
            spec["extensions"] = json!([]);
        }
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        Ok(serde_json::from_value(object)?)
    }

    /// Makes the databases, or the DatabaseServer. Not part of what is measured.
    pub(super) async fn prepare(&self, stage: &Stage) -> Result<()> {
        if matches!(self.mode, Mode::New | Mode::Documents) {
            return admit(stage, self.mode).await;
        }
        create_databases(&stage.postgres, &self.databases()).await
    }

    /// Creates all claims at once and waits until they are Ready.
    pub(super) async fn create(&self, stage: &Stage) -> Result<Timing> {
        let mut watch = Watch::start(stage.client.clone()).await?;
        let claims = api(stage);
        let port = stage.postgres.port();
        let objects: Vec<_> = (0..self.count)
            .map(|number| self.claim(number, port))
            .collect::<Result<_>>()?;
        let started = Instant::now();
        let asked: HashMap<String, Instant> = stream::iter(objects)
            .map(async |object| {
                let asked = Instant::now();
                claims.create(&PostParams::default(), &object).await?;
                anyhow::Ok((object.metadata.name.unwrap_or_default(), asked))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
            .context("cannot create claims")?;
        let ready = watch.until(self.count, |claim| {
            claim
                .metadata
                .name
                .as_ref()
                .is_some_and(|name| asked.contains_key(name))
                && is_ready(claim)
        });
        let ready = ready.await?;
        let last = ready.values().max().copied().unwrap_or(started);
        let latencies = ready
            .iter()
            .filter_map(|(name, at)| Some((*at - *asked.get(name)?).as_secs_f64()));
        Ok(Timing {
            total: (last - started).as_secs_f64(),
            latencies: latencies.collect(),
        })
    }

    /// Asks every claim to rotate, once for this nonce.
    pub(super) async fn ask_to_rotate(&self, stage: &Stage, nonce: &str) -> Result<()> {
        let asking = json!({ "metadata": { "annotations": { (annotation::ROTATE): nonce } } });
        self.patch(stage, &asking).await
    }

    /// The same change to every claim.
    pub(super) async fn patch(&self, stage: &Stage, change: &Value) -> Result<()> {
        let claims = api(stage);
        stream::iter(self.names())
            .map(async |name| {
                let (params, patch) = (PatchParams::default(), Patch::Merge(change));
                claims
                    .patch_metadata(&name, &params, &patch)
                    .await
                    .map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
            .context("cannot change claims")
    }
}

pub(super) fn api(stage: &Stage) -> Api<DatabaseClaim> {
    Api::namespaced(stage.client.clone(), NAMESPACE)
}

async fn create_databases(postgres: &PostgresServer, names: &[String]) -> Result<()> {
    let share = names.len().div_ceil(MAKERS).max(1);
    let makers = names.chunks(share).map(async |names| {
        for name in names {
            let sql = format!("CREATE DATABASE {}", quote(name));
            execute(&postgres.superuser().url(), &sql).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(makers).await.map(drop)
}

/// The server for new databases; its admin is no superuser, as a platform team would have it. On
/// MongoDB it is root: a role that lists so many databases is not what is measured.
async fn admit(stage: &Stage, mode: Mode) -> Result<()> {
    let servers = Api::<DatabaseServer>::all(stage.client.clone());
    if servers.get_opt(SERVER).await?.is_some() {
        return Ok(());
    }
    let mut spec = json!({
        "host": "localhost",
        "port": stage.postgres.port(),
        "sslMode": "disable",
        "adminSecretRef": { "name": OWNER_SECRET },
        "allowedNamespaces": { "all": true },
    });
    if mode == Mode::Documents {
        let mongod = stage.mongod.as_ref().context("no mongod runs")?;
        let (name, password) = ("platform", "of-the-platform");
        mongod.create_root(name, password).await?;
        let admin = (name, &password.into());
        stage.publish(HOME, OWNER_SECRET, admin).await?;
        let set = json!({ "replicaSet": mongod.set_name() });
        let port = mongod.ports().next();
        merge(
            &mut spec,
            json!({ "engine": "mongodb", "port": port, "mongodb": set }),
        );
    } else {
        let admin = stage.postgres.create_owner_admin().await?.dsn;
        stage
            .publish(HOME, OWNER_SECRET, (admin.login(), admin.password()))
            .await?;
    }
    let object = json!({ "metadata": { "name": SERVER }, "spec": spec });
    let object: DatabaseServer = serde_json::from_value(object)?;
    servers.create(&PostParams::default(), &object).await?;
    wait_for("the DatabaseServer to be Ready", async || {
        let status = servers.get(SERVER).await?.status.unwrap_or_default();
        let is_ready = api::conditions::is_true(&status.conditions, api::conditions::Type::Ready);
        Ok(is_ready.then_some(()))
    })
    .await
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Waits until the server's status counts so many databases: it is written now and then only.
pub(super) async fn counted(stage: &Stage, databases: usize) -> Result<()> {
    let servers = Api::<DatabaseServer>::all(stage.client.clone());
    let databases = i64::try_from(databases)?;
    wait_for("the DatabaseServer to count its databases", async || {
        let status = servers.get(SERVER).await?.status.unwrap_or_default();
        let usage = status.usage.unwrap_or_default();
        Ok((usage.databases == databases).then_some(()))
    })
    .await
}
