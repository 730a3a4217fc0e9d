//! The hunt on MongoDB, where passwords go to the server as they are: mongod logs each command, and
//! a sidecar serves meanwhile.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use mongodb::bson::doc;
use serde_json::json;
use testkit::env;
use testkit::mongod::{Options, Servers, Shape, allow_logins_in, client_of, run};

use super::passwords::{Canary, leaks};
use super::places::{self, Place as Text};
use crate::mongo::place::{Place, made};
use crate::mongo::sidecar::{Mounted, Sidecar};
use crate::role_claims::RoleClaims;
use crate::support::{Stage, existing_uri, merge};

const DATABASES: [&str; 4] = ["orders", "image", "profiles", "desktop"];

/// By server, by server with logins in each database, and by a DSN of the claim's own.
const CLAIMS: [&str; 3] = ["object", "copies", "words"];

struct Scene {
    stage: Stage,
    place: Place,
    canaries: Vec<Canary>,
}

impl Scene {
    async fn of(stage: Stage) -> Result<Self> {
        let options = Options {
            parameters: &["logLevel=2"],
            ..Options::default()
        };
        let servers = Servers::start_with(Shape::Set(1), &options).await?;
        let (canary, password) = Canary::planted("the admin's password");
        let place = Place::of(servers, &DATABASES, &password).await?;
        allow_logins_in(&place.root, &DATABASES).await?;
        Ok(Self {
            stage,
            place,
            canaries: vec![canary],
        })
    }

    /// Looks for the password that a claim has published.
    async fn remember(&mut self, claim: &str) -> Result<()> {
        let secret = self.stage.secret(claim).await?;
        let password = secret.get(key::PASSWORD).context("no password")?;
        let what = format!("the published password of {claim}");
        self.canaries.push(Canary::of(&what, password));
        Ok(())
    }

    async fn provision(&mut self) -> Result<()> {
        let server = self.place.register(&self.stage, "vault").await?;
        let mut copies = made("copies", "image", &server);
        merge(
            &mut copies,
            json!({ "databases": ["profiles"], "authDatabase": "PerDatabase" }),
        );
        let mut words = existing_uri("words", &self.place.source("desktop"));
        merge(
            &mut words,
            json!({ "type": "mongodb", "reclaimPolicy": "Delete" }),
        );
        let specs = [made("object", "orders", &server), copies, words];
        for (name, spec) in CLAIMS.into_iter().zip(specs) {
            self.stage.claim(name, spec).await?;
            self.stage.ready(name).await?;
            let (copies, copy) = (RoleClaims::of(&self.stage), format!("copy-of-{name}"));
            copies.create(&copy, name, json!({})).await?;
            copies.ready(&copy).await?;
            self.remember(name).await?;
        }
        Ok(())
    }

    async fn rotate(&mut self, mounted: &Mounted) -> Result<()> {
        for name in CLAIMS.repeat(3) {
            self.stage.rotate(name).await?;
            self.remember(name).await?;
            mounted.refresh(&self.stage).await?;
        }
        Ok(())
    }

    /// What is refused, unreachable or can't be read.
    async fn fail(&mut self) -> Result<()> {
        let (canary, wrong) = Canary::planted("a wrong password");
        self.canaries.push(canary);
        let refused = self.place.source_with("desktop", &wrong);
        let word = wrong.split(' ').next().context("a first word")?;
        let sources = [
            ("refused", refused.clone(), "Forbidden"),
            (
                "away",
                format!("mongodb://a:{word}@127.0.0.1:1/desktop?tls=false"),
                "Unavailable",
            ),
            (
                "bracket",
                format!("mongodb://a:{word}@[::1/desktop"),
                "InvalidSpec",
            ),
            (
                "port",
                format!("mongodb://a:{word}@h:{word}/desktop"),
                "InvalidSpec",
            ),
            (
                "slash",
                format!("mongodb://a:half/{word}@h/desktop"),
                "InvalidSpec",
            ),
            (
                "flag",
                format!("mongodb://a:{word}@h/desktop?tls={word}"),
                "InvalidSpec",
            ),
            (
                "percent",
                format!("mongodb://a:{word}%ff@h/desktop"),
                "InvalidSpec",
            ),
        ];
        for (name, uri, reason) in sources {
            let mut spec = existing_uri("nobody", &uri);
            merge(&mut spec, json!({ "type": "mongodb" }));
            self.stage.claim(name, spec).await?;
            let ready = self.stage.condition(name, Type::Ready, reason).await;
            ready.with_context(|| name)?;
        }
        // A login whose password somebody changed is put right.
        let by_hand = doc! { "updateUser": "object_b", "pwd": "by-hand" };
        run(&self.place.root, "dbclaims", by_hand).await?;
        self.stage
            .event("object", "PasswordRestored")
            .await
            .map(drop)
    }

    async fn search(
        &self,
        client: &kube::Client,
        controller: &testkit::controller::ControllerProcess,
        sidecar: &Sidecar,
    ) -> Result<Vec<String>> {
        let log = self.place.servers.log()?;
        let mut all = places::all(client, controller, log).await?;
        let log = std::fs::read_to_string(sidecar.process.log_path())?;
        all.push(Text::new("dbproxy log", log));
        all.push(Text::new("dbproxy metrics", sidecar.metrics().await?));
        all.extend(places::process(sidecar.process.pid())?);
        Ok(leaks(&all, &self.canaries))
    }
}

#[tokio::test]
async fn row_76_row_25_a_password_for_mongodb_is_seen_nowhere_but_in_its_secret() -> Result<()> {
    env(async |env| {
        let mut scene = Scene::of(Stage::of(env)).await?;
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        scene.provision().await?;
        let mounted = Mounted::of(&scene.stage, "object").await?;
        let sidecar = mounted.sidecar().await?;
        scene.rotate(&mounted).await?;
        let client = client_of(&format!("{}/orders", sidecar.uri()).into()).await?;
        run(
            &client,
            "orders",
            doc! { "insert": "c", "documents": [{ "n": 1 }] },
        )
        .await?;
        client.shutdown().await;
        scene.fail().await?;
        let found = scene.search(&env.client(), &controller, &sidecar).await?;
        assert!(found.is_empty(), "{found:#?}");

        for claim in CLAIMS {
            scene.stage.delete(claim).await?;
        }
        let found = scene.search(&env.client(), &controller, &sidecar).await?;
        assert!(found.is_empty(), "{found:#?}");

        // The search means something: the commands with passwords were logged.
        let log = scene.place.servers.log()?;
        let sets = log.lines().filter(|line| line.contains("updateUser"));
        ensure!(
            sets.count() > CLAIMS.len() * 3,
            "each rotation sets a password"
        );
        ensure!(log.contains("dropUser"), "logins were dropped");
        sidecar.process.stop().await?;
        Ok(())
    })
    .await
}
