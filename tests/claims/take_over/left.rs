//! What the original controller leaves of a claim, byte for byte, and the look at it afterwards.

use anyhow::{Context, Result};
use api::claim::DatabaseClaim;
use api::names::{annotation, finalizer, label, secret_key as key};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use testkit::TestEnv;
use testkit::postgres::{Dsn, PostgresAccess, execute, quote};

use crate::claims::owned_database;
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
pub(super) enum Database {
    /// It existed: `useExistingSource`.
    Adopted,
    /// The original made it.
    Own,
}

/// The original controller, as far as it concerns its successor.
pub(super) struct Original<'a> {
    pub(super) stage: &'a Stage,
    pub(super) server: &'a PostgresAccess,
    /// The admin of the claims, on their database.
    pub(super) admin: Dsn,
    /// Who made the roles: the admin as a rule.
    pub(super) maker: Dsn,
}

impl<'a> Original<'a> {
    /// With an admin and a database of its own on the shared server.
    pub(super) async fn start(env: &'a TestEnv, stage: &'a Stage) -> Result<Self> {
        let admin = owned_database(env).await?;
        Ok(Self {
            stage,
            server: env.postgres(),
            maker: admin.clone(),
            admin,
        })
    }

    /// Serves a claim of that name, with `more` in its spec, as if half an hour ago.
    pub(super) async fn serve(
        &self,
        env: &TestEnv,
        (name, kind): (&'static str, Database),
        more: Value,
    ) -> Result<Left> {
        let role = own("clerk");
        for login in [format!("{role}_a"), format!("{role}_b"), role.clone()] {
            env.adopt_role(&login);
        }
        let rotated_at = (Timestamp::now() - AGE).as_second();
        let left = Left {
            name,
            server: self.server.clone(),
            secret: published(self.server.port(), &self.admin, &format!("{role}_b")),
            role,
            rotated_at: Timestamp::from_second(rotated_at)?,
        };
        left.make_roles(&self.maker).await?;
        left.make_claim(self.stage, kind, &self.admin, more).await?;
        let secret = json!({
            "metadata": {
                "name": name, "labels": { label::MANAGED_BY: label::CLAIM_MANAGER }
            },
            "type": "Opaque", "stringData": left.secret,
        });
        let secret = serde_json::from_value(secret)?;
        let secrets = self.stage.secrets();
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(left)
    }

    /// Caches the admin's password in the tenant's namespace; returns the Secret's name.
    pub(super) async fn leave_cache(&self, claim: &str) -> Result<String> {
        let name = format!("temp-{claim}");
        let owner = json!({
            "apiVersion": DatabaseClaim::api_version(&()), "kind": DatabaseClaim::kind(&()),
            "name": claim, "uid": uid_of(&self.stage.get(claim).await?),
        });
        let secret = json!({
            "metadata": { "name": name, "ownerReferences": [owner] },
            "stringData": { "cachedMasterPasswdForExistingDB": "the-admins" },
        });
        let secret = serde_json::from_value(secret)?;
        let secrets = self.stage.secrets();
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(name)
    }
}

/// A claim that the original has served, and all that it left of it.
pub(super) struct Left {
    pub(super) name: &'static str,
    pub(super) role: String,
    pub(super) secret: Texts,
    server: PostgresAccess,
    rotated_at: Timestamp,
}

impl Left {
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
            ..
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
                json!({ "databaseName": "unused", "useExistingSource": true, "sourceDataFrom": source }),
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
    pub(super) async fn verifiers(&self) -> Result<String> {
        let sql = format!(
            "SELECT string_agg(rolname || ' ' || rolpassword, ', ' ORDER BY rolname)
             FROM pg_authid WHERE rolname IN ('{role}_a', '{role}_b')",
            role = self.role
        );
        ask(&self.server, "postgres", &sql).await
    }

    /// The marks on owner role and logins.
    pub(super) async fn marks(&self) -> Result<String> {
        let sql = format!(
            "SELECT coalesce(string_agg(shobj_description(oid, 'pg_authid'), ', '), '')
             FROM pg_roles WHERE rolname IN ('{role}', '{role}_a', '{role}_b')",
            role = self.role
        );
        ask(&self.server, "postgres", &sql).await
    }

    /// That the claim is served as it was: same credential, same bytes, due when it was due.
    pub(super) async fn is_taken_over(&self, stage: &Stage, verifiers: &str) -> Result<()> {
        let Self {
            name,
            role,
            secret,
            rotated_at,
            ..
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
        assert_eq!(self.verifiers().await?, verifiers, "{name}");
        let mark = format!("claim={}/{name} uid={claim_uid}", stage.namespace);
        let marks = self.marks().await?;
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
fn published(port: u16, admin: &Dsn, login: &str) -> Texts {
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

pub(super) fn uid_of(claim: &DatabaseClaim) -> &str {
    claim.metadata.uid.as_deref().unwrap_or_default()
}
