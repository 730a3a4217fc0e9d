//! Taking over what the original controller left: in place, without a rotation, by class.

use anyhow::{Context, Result};
use api::claim::DatabaseClaim;
use api::conditions::Type;
use api::names::{annotation, finalizer, label, secret_key as key};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use testkit::postgres::{Dsn, execute, quote};
use testkit::prober::Prober;
use testkit::{TestEnv, env};

use super::source::owned_database;
use crate::support::{Stage, Texts, ask, log_in, merge, own, rotation_of, uri};

/// The nine keys of the original.
const KEYS: [&str; 9] = [
    key::DSN,
    key::URI_DSN,
    key::READ_ONLY_URI_DSN,
    key::HOSTNAME,
    key::PORT,
    key::DATABASE,
    key::USERNAME,
    key::PASSWORD,
    key::SSL_MODE,
];

/// How long ago the original rotated: within its period of an hour.
const AGE: SignedDuration = SignedDuration::from_mins(30);

/// Where the original's claim lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    /// It existed: `useExistingSource`.
    Adopted,
    /// The original made it.
    Own,
}

/// A claim that the original has served, and all that it left of it.
struct Left {
    name: &'static str,
    role: String,
    secret: Texts,
    rotated_at: Timestamp,
}

impl Left {
    /// Makes what the original makes. `admin` names the database.
    async fn by_the_original(
        env: &TestEnv,
        stage: &Stage,
        (name, kind): (&'static str, Database),
        admin: &Dsn,
        more: Value,
    ) -> Result<Self> {
        let role = own("clerk");
        for login in [format!("{role}_a"), format!("{role}_b"), role.clone()] {
            env.adopt_role(&login);
        }
        let rotated_at = (Timestamp::now() - AGE).as_second();
        let left = Self {
            name,
            secret: published(env, admin, &format!("{role}_b")),
            role,
            rotated_at: Timestamp::from_second(rotated_at)?,
        };
        left.make_roles(admin).await?;
        left.make_claim(stage, kind, admin, more).await?;
        let secret = json!({
            "metadata": {
                "name": name, "labels": { label::MANAGED_BY: label::CLAIM_MANAGER }
            },
            "type": "Opaque", "stringData": left.secret,
        });
        let secrets = stage.secrets();
        let secret = serde_json::from_value(secret)?;
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(left)
    }

    /// What the Secret holds.
    fn text(&self, key: &str) -> &str {
        self.secret.get(key).map_or("", String::as_str)
    }

    /// As the admin, with passwords as plain text, and the same grants at every pass.
    async fn make_roles(&self, admin: &Dsn) -> Result<()> {
        let role = quote(&self.role);
        let (password, database) = (self.text(key::PASSWORD), quote(self.text(key::DATABASE)));
        let [a, b] = ["a", "b"].map(|suffix| quote(&format!("{}_{suffix}", self.role)));
        let sql = format!(
            "CREATE ROLE {role} NOLOGIN;
             CREATE ROLE {a} LOGIN PASSWORD 'an-older-one' IN ROLE {role};
             ALTER ROLE {a} SET role TO {role};
             CREATE ROLE {b} LOGIN PASSWORD '{password}' IN ROLE {role};
             ALTER ROLE {b} SET role TO {role};
             GRANT ALL ON DATABASE {database} TO {role};
             GRANT ALL ON SCHEMA public TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
        );
        execute(&admin.url(), &sql).await?;
        let table = "CREATE TABLE receipts (id int); INSERT INTO receipts VALUES (7)";
        execute(&uri(&self.secret), table).await
    }

    async fn make_claim(
        &self,
        stage: &Stage,
        kind: Database,
        admin: &Dsn,
        more: Value,
    ) -> Result<()> {
        let Self {
            name,
            role,
            rotated_at,
            secret: _,
        } = self;
        let mut spec = json!({
            "userName": role, "databaseName": self.text(key::DATABASE), "secretName": name
        });
        let mut db_state = "ready";
        if kind == Database::Adopted {
            db_state = "using-existing-db";
            let (password, admin_secret) =
                (admin.password().expose_secret(), format!("{name}-admin"));
            stage
                .put_secret(&admin_secret, &[(key::PASSWORD, password)])
                .await?;
            let dsn = admin
                .url()
                .expose_secret()
                .replace(&format!(":{password}@"), "@");
            let database = json!({ "dsn": dsn, "secretRef": { "name": admin_secret } });
            let source = json!({ "type": "database", "database": database });
            merge(
                &mut spec,
                json!({ "useExistingSource": true, "sourceDataFrom": source }),
            );
        }
        let source = spec.get("sourceDataFrom").cloned();
        merge(&mut spec, more);
        stage.claim(name, spec).await?;
        let finalizers = json!({ "metadata": { "finalizers": [finalizer::CLAIM] } });
        let claim = stage.patch(name, finalizers).await?;
        let condition = |type_: &str, message: &str| {
            json!({
                "type": type_, "status": "True", "reason": "Available", "message": message,
                "lastTransitionTime": rotated_at, "observedGeneration": claim.metadata.generation,
            })
        };
        let status = json!({ "status": {
            "activeDB": {
                "DbState": db_state, "sourceDataFrom": source, "minStorageGB": 20,
                "connectionUpdatedAt": rotated_at, "userUpdatedAt": rotated_at,
                "connectionInfo": {
                    "hostName": self.text(key::HOSTNAME), "port": self.text(key::PORT),
                    "databaseName": self.text(key::DATABASE), "userName": self.text(key::USERNAME),
                    "sslMode": self.text(key::SSL_MODE),
                },
            },
            "newDB": {}, "oldDB": {}, "migrationState": "",
            "conditions": [
                condition("Ready", "Database successfully synchronized and ready for use"),
                condition("Synced", "Database is provisioned"),
            ],
        } });
        let (claims, params) = (stage.claims(), PatchParams::default());
        claims
            .patch_status(name, &params, &Patch::Merge(status))
            .await?;
        Ok(())
    }

    /// What the server stores of the passwords.
    async fn verifiers(&self, env: &TestEnv) -> Result<String> {
        let sql = format!(
            "SELECT string_agg(rolname || ' ' || rolpassword, ', ' ORDER BY rolname)
             FROM pg_authid WHERE rolname IN ('{role}_a', '{role}_b')",
            role = self.role
        );
        ask(env.postgres(), "postgres", &sql).await
    }

    /// The marks on owner role and logins.
    async fn marks(&self, env: &TestEnv) -> Result<String> {
        let sql = format!(
            "SELECT coalesce(string_agg(shobj_description(oid, 'pg_authid'), ', '), '')
             FROM pg_roles WHERE rolname IN ('{role}', '{role}_a', '{role}_b')",
            role = self.role
        );
        ask(env.postgres(), "postgres", &sql).await
    }

    /// That the claim is served as it was: same credential, same bytes, due when it was due.
    async fn is_taken_over(&self, env: &TestEnv, stage: &Stage, verifiers: &str) -> Result<()> {
        let Self {
            name,
            role,
            secret,
            rotated_at,
        } = self;
        // The original said Ready, too; that it is ours is what it did not say.
        let claim = stage
            .claim_when(name, "the take-over", |claim| rotation_of(claim).is_some())
            .await?;
        let claim_uid = uid_of(&claim);
        stage.event(name, "TakenOver").await?;
        let now = stage.secret(name).await?;
        for key in KEYS {
            // The original leaves it empty outside AWS; row 21: never empty.
            let want = match key {
                key::READ_ONLY_URI_DSN => secret.get(key::URI_DSN),
                key => secret.get(key),
            };
            assert_eq!(now.get(key), want, "{name}: {key}");
        }
        assert_eq!(self.verifiers(env).await?, verifiers, "{name}");
        let mark = format!("claim={}/{name} uid={claim_uid}", stage.namespace);
        let marks = self.marks(env).await?;
        assert_eq!(marks.matches(&mark).count(), 3, "{name}: {marks}");
        assert_eq!(claim.finalizers(), [finalizer::CLAIM]);
        let object = stage.secrets().get(name).await?;
        let annotated = object.annotations().get(annotation::CLAIM_UID);
        assert_eq!(annotated.map(String::as_str), Some(claim_uid));
        let rotation = rotation_of(&claim).context("a rotation")?;
        assert_eq!(rotation.current_login.as_ref(), secret.get(key::USERNAME));
        assert_eq!(rotation.last_rotation_at, Some(*rotated_at));
        let due = rotation.next_rotation_at.context("an appointment")?;
        let wait = due.duration_since(*rotated_at);
        // Row 14: one period after the original's last rotation, and its jitter.
        assert!(wait >= SignedDuration::from_mins(60) && wait <= SignedDuration::from_mins(66));
        let active = claim
            .status
            .and_then(|status| status.active_db)
            .context("an active database")?;
        assert_eq!(active.user_updated_at, Some(*rotated_at));
        assert_eq!(log_in(&now).await?, *role);
        Ok(())
    }
}

/// The Secret of the original, byte for byte, with a password in its symbols.
fn published(env: &TestEnv, admin: &Dsn, login: &str) -> Texts {
    let port = env.postgres().port();
    let url = admin.url();
    let database = url
        .expose_secret()
        .rsplit(['/', '?'])
        .nth(1)
        .unwrap_or_default();
    let (password, encoded) = ("t7#Kd^2=Wq:9mZ+x", "t7%23Kd%5E2%3DWq%3A9mZ%2Bx");
    let all = [
        (
            key::DSN,
            format!(
                "host=localhost port={port} user={login} password={password} dbname={database} sslmode=disable"
            ),
        ),
        (
            key::URI_DSN,
            format!("postgres://{login}:{encoded}@localhost:{port}/{database}?sslmode=disable"),
        ),
        (key::READ_ONLY_URI_DSN, String::new()),
        (key::HOSTNAME, "localhost".to_owned()),
        (key::PORT, port.to_string()),
        (key::DATABASE, database.to_owned()),
        (key::USERNAME, login.to_owned()),
        (key::PASSWORD, password.to_owned()),
        (key::SSL_MODE, "disable".to_owned()),
    ];
    all.map(|(key, text)| (key.to_owned(), text)).into()
}

fn uid_of(claim: &DatabaseClaim) -> &str {
    claim.metadata.uid.as_deref().unwrap_or_default()
}

/// The original's cache of the admin's password, in the tenant's namespace.
async fn leave_cache(stage: &Stage, claim: &str) -> Result<String> {
    let name = format!("temp-{claim}");
    let owner = json!({
        "apiVersion": "persistance.atlas.infoblox.com/v1", "kind": "DatabaseClaim",
        "name": claim, "uid": uid_of(&stage.get(claim).await?),
    });
    let secret = json!({
        "metadata": { "name": name, "ownerReferences": [owner] },
        "stringData": { "cachedMasterPasswdForExistingDB": "the-admins" },
    });
    let secret = serde_json::from_value(secret)?;
    stage
        .secrets()
        .create(&PostParams::default(), &secret)
        .await?;
    Ok(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_97_what_the_original_left_is_taken_over_and_rotates_when_due() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let source = owned_database(env).await?;
        let adopted = ("adopted", Database::Adopted);
        let adopted = Left::by_the_original(env, &stage, adopted, &source, json!({})).await?;
        let cache = leave_cache(&stage, "adopted").await?;
        let admin = owned_database(env).await?;
        let port = json!({ "port": env.postgres().port() });
        stage.server("own", &admin, port).await?;
        let own = ("own", Database::Own);
        let own = Left::by_the_original(env, &stage, own, &admin, json!({})).await?;
        let all = [adopted, own];
        let start = |left: &Left| Prober::start(env.client(), env.namespace(), left.name);
        let probers: Vec<_> = all.iter().map(start).collect();
        let before = try_join_all(all.iter().map(|left| left.verifiers(env))).await?;

        let controller = env.controller("").await?;
        for (left, verifiers) in all.iter().zip(&before) {
            left.is_taken_over(env, &stage, verifiers).await?;
        }
        let note = stage.event("adopted", "LeftoverRemoved").await?;
        assert!(note.contains(&cache), "{note}");
        assert!(stage.secrets().get_opt(&cache).await?.is_none());

        // What falls due while nobody is there is done by who comes next (row 14).
        controller.kill().await?;
        let due = json!({ "spec": { "rotation": { "period": "10m" } } });
        for left in &all {
            stage.patch(left.name, due.clone()).await?;
        }
        let _next = env.controller("").await?;
        for left in &all {
            stage
                .claim_when(left.name, "the rotation that is due", |claim| {
                    rotation_of(claim).is_some_and(|rotation| {
                        rotation.current_login == Some(format!("{}_a", left.role))
                    })
                })
                .await?;
            let published = stage.secret(left.name).await?;
            assert_eq!(log_in(&published).await?, left.role);
            // Pods hold the original's credential for one overlap more, and nothing is lost.
            assert_eq!(log_in(&left.secret).await?, left.role);
            let kept = "SELECT id::text FROM receipts";
            let kept = testkit::postgres::query_one(&uri(&published), kept).await?;
            assert_eq!(kept, "7");
        }
        for prober in probers {
            let report = prober.stop().await?;
            assert_eq!(report.failures, 0, "{:?}", report.first_failures);
            assert!(report.attempts > 0);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_97_side_by_side_each_class_serves_its_own() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let source = owned_database(env).await?;
        let theirs = json!({ "class": "original" });
        let kind = ("theirs", Database::Adopted);
        let theirs = Left::by_the_original(env, &stage, kind, &source, theirs).await?;
        let kind = ("ours", Database::Adopted);
        let source = owned_database(env).await?;
        let ours = Left::by_the_original(env, &stage, kind, &source, json!({})).await?;
        let verifiers = (theirs.verifiers(env).await?, ours.verifiers(env).await?);
        let claim = stage.get("theirs").await?;
        let secret = stage.secrets().get("theirs").await?;

        let _controller = env.controller("driftCheckPeriod: 1s\n").await?;
        ours.is_taken_over(env, &stage, &verifiers.1).await?;
        // Long enough for the controller to have seen the other claim, too.
        stage.rotate("ours").await?;
        assert_eq!(stage.get("theirs").await?, claim);
        assert_eq!(stage.secrets().get("theirs").await?, secret);
        assert_eq!(theirs.verifiers(env).await?, verifiers.0);
        assert_eq!(theirs.marks(env).await?, "");
        assert_eq!(stage.events("theirs").await?, []);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_97_a_secret_that_disagrees_with_the_status_is_not_taken_over() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let source = owned_database(env).await?;
        let kind = ("shop", Database::Adopted);
        let left = Left::by_the_original(env, &stage, kind, &source, json!({})).await?;
        let other = format!("{}_a", left.role);
        let info = json!({ "connectionInfo": { "userName": other } });
        let status = Patch::Merge(json!({ "status": { "activeDB": info } }));
        let (claims, params) = (stage.claims(), PatchParams::default());
        claims.patch_status("shop", &params, &status).await?;
        let (secret, verifiers) = (
            stage.secrets().get("shop").await?,
            left.verifiers(env).await?,
        );

        let _controller = env.controller("").await?;
        let ready = stage.condition("shop", Type::Ready, "Blocked").await?;
        assert!(ready.message.contains("Secret shop"), "{}", ready.message);
        assert_eq!(stage.secrets().get("shop").await?, secret);
        assert_eq!(left.verifiers(env).await?, verifiers);
        assert_eq!(left.marks(env).await?, "");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_97_a_take_over_that_was_cut_short_is_finished() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let source = owned_database(env).await?;
        let kind = ("shop", Database::Adopted);
        let left = Left::by_the_original(env, &stage, kind, &source, json!({})).await?;
        // The roles get their marks before the Secret gets its annotations.
        let claim = stage.get("shop").await?;
        let mark = format!(
            "db-controller claim={}/shop uid={}",
            stage.namespace,
            uid_of(&claim)
        );
        for (role, word) in [("", " adopted"), ("_a", ""), ("_b", "")] {
            let role = quote(&format!("{}{role}", left.role));
            let sql = format!("COMMENT ON ROLE {role} IS '{mark}{word}'");
            execute(&source.url(), &sql).await?;
        }
        let verifiers = left.verifiers(env).await?;
        let _controller = env.controller("").await?;
        left.is_taken_over(env, &stage, &verifiers).await
    })
    .await
}
