//! The hunt: a life full of rotations and failures, and afterwards nothing is to be found.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use kube::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use testkit::controller::{ControllerOptions, ControllerProcess, Election};
use testkit::postgres::{Dsn, PostgresServer, connect, quote};
use testkit::{TestEnv, env};

use super::passwords::{Canary, leaks};
use super::places;
use crate::role_claims::RoleClaims;
use crate::support::{Stage, existing, merge};

/// The claims that live through everything.
const CLAIMS: [&str; 4] = ["block", "object", "words", "bound"];

/// A server that logs all statements, and the passwords that are about.
pub(super) struct Scene {
    client: Client,
    pub(super) stage: Stage,
    pub(super) server: PostgresServer,
    canaries: Vec<Canary>,
}

impl Scene {
    pub(super) async fn of(env: &TestEnv) -> Result<Self> {
        Ok(Self {
            client: env.client(),
            stage: Stage::of(env),
            server: PostgresServer::builder().log_statements().start().await?,
            canaries: Vec::new(),
        })
    }

    /// A password that is looked for from now on.
    pub(super) fn plant(&mut self, what: &str) -> String {
        let (canary, password) = Canary::planted(what);
        self.canaries.push(canary);
        password
    }

    /// A login with a planted password, which the server learns without logging it.
    pub(super) async fn login(&mut self, name: &str, attributes: &str) -> Result<Dsn> {
        let password = self.plant(&format!("the password of {name}"));
        let login = self.server.create_login(name, attributes).await?;
        let mut session = connect(&self.server.superuser().url()).await?;
        sqlx::raw_sql("SET log_statement = 'none'")
            .execute(&mut session)
            .await?;
        let literal = password.replace('\'', "''");
        let change = format!("ALTER ROLE {} PASSWORD '{literal}'", quote(login.login()));
        sqlx::raw_sql(AssertSqlSafe(change))
            .execute(&mut session)
            .await?;
        Ok(self.server.dsn(name, SecretString::from(password)))
    }

    /// What is found now, line by line.
    pub(super) async fn search(&self, controller: &ControllerProcess) -> Result<Vec<String>> {
        let places = places::all(&self.client, controller, self.server.log()?).await?;
        Ok(leaks(&places, &self.canaries))
    }

    /// Looks for the password that a claim has published.
    async fn remember(&mut self, claim: &str) -> Result<()> {
        let published = self.stage.secret(claim).await?;
        let what = format!("the published password of {claim}");
        let password = published
            .get(key::PASSWORD)
            .context("a Secret without password")?;
        self.canaries.push(Canary::of(&what, password));
        Ok(())
    }

    /// An admin and a database that belongs to it.
    async fn source(&mut self, name: &str) -> Result<Dsn> {
        let admin = self.login(name, "CREATEROLE CREATEDB").await?;
        self.server.create_database(name, name).await?;
        Ok(admin.database(name))
    }

    /// One claim by each way in which an admin's password reaches the controller.
    async fn provision(&mut self) -> Result<()> {
        let port = json!({ "port": self.server.port() });
        let vault = self.login("vault", "CREATEROLE CREATEDB").await?;
        let vault = self.stage.server("vault", &vault, port).await?;
        let words = self.source("words").await?;
        let bound = self.source("bound").await?;
        let uri = bound.url();
        self.stage
            .put_secret("source", &[(key::URI_DSN, uri.expose_secret())])
            .await?;
        let reference = json!({ "dsn": null, "secretRef": { "name": "source" } });
        let mut by_secret = existing("bound_clerk", &bound);
        merge(
            &mut by_secret,
            json!({ "sourceDataFrom": { "database": reference } }),
        );
        let new = |name: &str, server: &str| {
            let (user, database) = (format!("{name}_clerk"), format!("{name}_orders"));
            json!({ "userName": user, "databaseName": database, "server": server })
        };
        let specs = [
            new("block", "ledger"),
            new("object", &vault),
            existing("words_clerk", &words),
            by_secret,
        ];
        for (name, mut spec) in CLAIMS.into_iter().zip(specs) {
            merge(&mut spec, json!({ "reclaimPolicy": "Delete" }));
            self.stage.claim(name, spec).await?;
            self.stage.ready(name).await?;
            let (copies, copy) = (RoleClaims::of(&self.stage), format!("copy-of-{name}"));
            copies.create(&copy, name, json!({})).await?;
            copies.ready(&copy).await?;
            self.remember(name).await?;
        }
        Ok(())
    }

    async fn rotate(&mut self) -> Result<()> {
        for name in CLAIMS.repeat(3) {
            self.stage.rotate(name).await?;
            self.remember(name).await?;
        }
        Ok(())
    }

    /// What somebody writes into a published Secret by hand.
    async fn edit(&mut self) -> Result<()> {
        let password = self.plant("a password edited into one key");
        let edit = json!({ "stringData": { key::PASSWORD: password } });
        self.stage.patch_secret("block", edit).await?;
        self.stage.event("block", "SecretRepaired").await?;
        let password = self.plant("a password edited into all keys");
        let dsn = self
            .server
            .dsn("block_clerk_a", SecretString::from(password.clone()));
        let mut edit = json!({
            key::PASSWORD: password, key::URI_DSN: dsn.url().expose_secret(),
            key::DSN: format!("host=localhost user=block_clerk_a password='{password}"),
        });
        for key in [key::READ_ONLY_URI_DSN, key::URI, key::JDBC_URI, key::PGPASS] {
            merge(&mut edit, json!({ key: "" }));
        }
        self.stage
            .patch_secret("block", json!({ "stringData": edit }))
            .await?;
        self.stage.event("block", "SecretEdited").await?;
        self.stage.ready("block").await?;
        self.remember("block").await
    }

    /// Servers that say no, or nothing.
    async fn fail(&mut self) -> Result<()> {
        let wrong = self.plant("a wrong password of a DatabaseServer's admin");
        let before = self.stage.secret("vault-admin").await?;
        let right = before.get(key::PASSWORD).context("no password of vault")?;
        let secret = [(key::USERNAME, "vault"), (key::PASSWORD, wrong.as_str())];
        self.stage.put_secret("vault-admin", &secret).await?;
        self.stage.ask_rotation("object").await?;
        self.stage
            .condition("object", Type::Ready, "Forbidden")
            .await?;
        let secret = [(key::USERNAME, "vault"), (key::PASSWORD, right)];
        self.stage.put_secret("vault-admin", &secret).await?;

        let wrong = SecretString::from(self.plant("a wrong password of a source"));
        let refused = self.server.dsn("words", wrong).database("words");
        let nobody = SecretString::from(self.plant("a password for nobody"));
        let unreachable = self.server.dsn("words", nobody).database("words").port(1);
        let weak = self.login("weak", "").await?.database("words");
        for (name, dsn, reason) in [
            ("refused", refused, "Forbidden"),
            ("unreachable", unreachable, "Unavailable"),
            ("weak", weak, "Forbidden"),
        ] {
            self.stage
                .claim(name, existing(&format!("{name}_clerk"), &dsn))
                .await?;
            self.stage.condition(name, Type::Ready, reason).await?;
        }
        Ok(())
    }

    /// DSNs that nobody can read, with a password somewhere in them; by claim and by Secret.
    async fn stammer(&mut self) -> Result<()> {
        let port = self.server.port();
        let canary = self.plant("the password of a malformed DSN");
        let word = canary.split(' ').next().context("a first word")?;
        let malformed = [
            word.to_owned(),
            format!("postgres://words:{word}@[::1/words"),
            format!("postgres://words:{word}@localhost/words?sslmode=never"),
            format!("postgres://words:{word}%ff@localhost/words"),
            format!("postgres://words:half/{word}@localhost:{port}/words"),
            format!("postgres://words@localhost:{word}/words"),
            format!("postgres://localhost:{port}/words?sslmode={word}"),
            format!("host=localhost port={port} user=words password='{word}"),
            format!("host=localhost user=words password=two {word} dbname='words"),
            format!("host=localhost user=words password=two {word}='words"),
            format!("host=localhost port={port} user=words password=two {word} dbname=words"),
            format!("host=localhost port={word} user=words password={word}"),
            format!("mysql://words:{word}@localhost/words"),
        ];
        let mut refused = 0;
        for (number, dsn) in malformed.iter().enumerate() {
            let (claim, source) = (format!("spec-{number}"), format!("secret-{number}"));
            // Some are refused by the API server already; its answer is on somebody's terminal.
            match self
                .stage
                .claim(&claim, unreadable(&json!({ "dsn": dsn })))
                .await
            {
                Ok(_) => drop(
                    self.stage
                        .condition(&claim, Type::Ready, "InvalidSpec")
                        .await?,
                ),
                Err(err) => {
                    ensure!(!format!("{err:?}").contains(word), "refused with {err:?}");
                    refused += 1;
                }
            }
            let form = [(key::URI_DSN, dsn.as_str())];
            self.stage.put_secret(&source, &form).await?;
            let database = json!({ "secretRef": { "name": source } });
            self.stage.claim(&source, unreadable(&database)).await?;
            self.stage
                .condition(&source, Type::Ready, "Blocked")
                .await?;
        }
        ensure!(
            refused < malformed.len(),
            "no claim got as far as the controller"
        );
        Ok(())
    }
}

fn unreadable(database: &Value) -> Value {
    json!({
        "userName": "nobody", "databaseName": "words", "useExistingSource": true,
        "sourceDataFrom": { "type": "database", "database": database },
    })
}

/// A controller whose config names the server `ledger`, and that takes part in an election.
async fn controller(env: &TestEnv, scene: &mut Scene) -> Result<ControllerProcess> {
    let ledger = scene.login("ledger", "CREATEROLE CREATEDB").await?;
    let password = ledger.password().expose_secret();
    scene
        .stage
        .put_secret("ledger-admin", &[(key::PASSWORD, password)])
        .await?;
    let config = format!(
        "driftCheckPeriod: 1s\nledger:\n  host: localhost\n  port: {}\n  sslMode: disable\n  \
         username: ledger\n  passwordSecretRef: ledger-admin\n",
        scene.server.port(),
    );
    // The chart names the Lease of its class in its Role.
    let values = format!("dbController:\n  class: {}\n", env.namespace());
    let options = ControllerOptions {
        kubeconfig: env.install_chart(&values).await?,
        class: env.namespace().to_owned(),
        namespace: env.namespace().to_owned(),
        election: Election::On,
        config,
        ..ControllerOptions::default()
    };
    env.start_controller(options).await
}

#[tokio::test]
async fn row_76_row_25_a_password_is_seen_nowhere_but_in_its_secret() -> Result<()> {
    env(async |env| {
        let mut scene = Scene::of(env).await?;
        let controller = controller(env, &mut scene).await?;
        scene.provision().await?;
        scene.rotate().await?;
        scene.edit().await?;
        scene.fail().await?;
        scene.stammer().await?;
        let found = scene.search(&controller).await?;
        assert!(found.is_empty(), "{found:#?}");

        for claim in CLAIMS {
            scene.stage.ready(claim).await?;
            scene.remember(claim).await?;
            scene.stage.delete(claim).await?;
        }
        let found = scene.search(&controller).await?;
        assert!(found.is_empty(), "{found:#?}");

        // The search means something: statements were logged, and passwords came as verifiers.
        let log = scene.server.log()?;
        let sets = log
            .lines()
            .filter(|line| line.contains("PASSWORD 'SCRAM-SHA-256$4096:"));
        assert!(sets.count() > 16, "each rotation sets a password");
        assert!(log.contains("DROP ROLE"));
        ensure!(
            controller.log()?.contains("\"DEBUG\""),
            "the controller logs no details"
        );
        Ok(())
    })
    .await
}
