//! abcdesktop's control plane on the samples as they stand: six databases, a new client for each
//! operation, fifty rotations. Once it reads its Secret again each time, once it is behind dbproxy.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use serde_json::{Value, json};
use testkit::application::work;
use testkit::assets::{clients, workspace};
use testkit::env;
use testkit::mongod::{Shape, allow_logins_in};
use testkit::wait::wait_for;
use tokio::sync::watch;

use super::place::Place;
use super::sidecar::Mounted;
use crate::support::{Stage, merge};

const DATABASES: [&str; 6] = [
    "image",
    "fail2ban",
    "loginHistory",
    "applications",
    "profiles",
    "desktop",
];

const ROTATIONS: u64 = 50;

/// What pyos.py prints.
#[derive(Debug, Default, serde::Deserialize)]
struct Totals {
    done: BTreeMap<String, u64>,
    failed: u64,
    failure: Option<String>,
}

/// A sample's claim, its server and its Secret as a pod mounts it.
struct Desktop {
    stage: Stage,
    name: String,
    mounted: Mounted,
    _place: Place,
}

impl Desktop {
    async fn start(stage: Stage, sample: &str, name: &str) -> Result<Self> {
        let place = Place::with(Shape::Set(1), &DATABASES).await?;
        allow_logins_in(&place.root, &DATABASES).await?;
        let server = place.register(&stage, name).await?;
        let path = workspace().join("config/samples/abcdesktop").join(sample);
        let text = fs::read_to_string(path)?;
        let first = text.split("\n---\n").next().unwrap_or_default();
        let object: Value = serde_saphyr::from_str(first)?;
        let mut spec = object.get("spec").context("no spec")?.clone();
        ensure!(spec.get("server") == Some(&json!("documents")), "{spec}");
        // Both samples are of one name, and here in one namespace.
        merge(
            &mut spec,
            json!({ "server": server, "secretName": format!("secret-of-{name}") }),
        );
        stage.claim(name, spec).await?;
        let claim = stage.ready(name).await?;
        let mounted = Mounted::of(&stage, claim.secret_name()).await?;
        Ok(Self {
            name: claim.name_any(),
            mounted,
            stage,
            _place: place,
        })
    }

    /// pyos at work through all rotations.
    async fn follows(&self, address: &str) -> Result<Totals> {
        let program = workspace().join("tests/mongo/abcdesktop/pyos.py");
        let command = tokio::task::spawn_blocking(move || clients::python(&program)).await??;
        let (end, ended) = watch::channel(false);
        let totals = watch::Sender::new(Totals::default());
        let note = |new| {
            totals.send_replace(new);
        };
        let rotations = async {
            uses_each(&totals).await?;
            for _ in 0..ROTATIONS {
                self.stage.rotate(&self.name).await?;
                self.mounted.refresh(&self.stage).await?;
                uses_each(&totals).await?;
            }
            end.send_replace(true);
            anyhow::Ok(())
        };
        tokio::try_join!(work(command, address, note, ended), rotations)?;
        Ok(totals.send_replace(Totals::default()))
    }
}

/// Waits until each database was used again.
async fn uses_each(totals: &watch::Sender<Totals>) -> Result<()> {
    let before = totals.borrow().done.clone();
    wait_for("pyos to use each database", async || {
        let now = totals.borrow();
        ensure!(now.failed == 0, "{:?}", *now);
        for database in DATABASES {
            let uses = |all: &BTreeMap<String, u64>| all.get(database).copied().unwrap_or_default();
            ensure!(uses(&now.done) > uses(&before), "{:?}", *now);
        }
        Ok(Some(()))
    })
    .await
}

fn is_flawless(what: &str, totals: &Totals) {
    let Totals {
        done,
        failed,
        failure,
    } = totals;
    let uses: u64 = done.values().sum();
    eprintln!("abcdesktop: {what}: {uses} operations, {failed} failed, {ROTATIONS} rotations");
    assert_eq!(*failed, 0, "{what}: {failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pyos_uses_its_six_databases_through_fifty_rotations() -> Result<()> {
    env(async |env| {
        let _controller = env.controller("").await?;
        let of = |sample, name| Desktop::start(Stage::of(env), sample, name);
        let direct = of("per-database.yaml", "pyos").await?;
        let proxied = of("behind-proxy.yaml", "pyos-proxied").await?;
        let sidecar = proxied.mounted.sidecar().await?;
        let url = direct.mounted.file("MONGODB_URL");
        let (read_again, behind) = tokio::try_join!(
            async { direct.follows(&url).await.context("with its Secret") },
            async {
                proxied
                    .follows(&sidecar.uri())
                    .await
                    .context("behind dbproxy")
            },
        )?;
        is_flawless("with its Secret read again", &read_again);
        is_flawless("behind dbproxy", &behind);
        sidecar.process.stop().await?;

        let secret = direct.stage.secret(&direct.mounted.secret).await?;
        let text = |key: &str| secret.get(key).map(String::as_str).unwrap_or_default();
        assert_eq!(text("MONGO_DBS_LIST"), DATABASES.join(","));
        assert_eq!(text("authSource"), "image");
        let users = format!("{}:readWrite:{}", text("username"), text("password"));
        assert_eq!(text("MONGO_USERS_LIST"), users);
        for database in DATABASES {
            let uri = text(&format!("uri.{database}"));
            ensure!(
                uri.contains(&format!("/{database}?authSource={database}&")),
                "{database}"
            );
        }
        Ok(())
    })
    .await
}
