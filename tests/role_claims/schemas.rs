//! Role claims with a map of schemas: logins of their own with exactly those rights.

use anyhow::{Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use serde_json::{Value, json};
use testkit::postgres::{Dsn, query, query_one};
use testkit::prober::Prober;
use testkit::wait::wait_for;
use testkit::{TestEnv, env, names};

use super::RoleClaims;
use crate::claims::source::owned_database;
use crate::support::{Stage, Texts, ask, existing, log_in, own, uri};

/// A claim named shop with a table in two schemas, and a name for role claims that no other test
/// of the server has.
pub(super) struct Shop {
    pub(super) stage: Stage,
    pub(super) role_claims: RoleClaims,
    admin: Dsn,
    database: String,
    pub(super) reports: String,
}

/// Where the claim's database comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Adopted,
    Made,
}

impl Shop {
    pub(super) async fn open(env: &TestEnv, origin: Origin) -> Result<Self> {
        let stage = Stage::of(env);
        let owner = own("clerk");
        let reports = format!("reports-{}", names::random(6));
        let (admin, database) = match origin {
            Origin::Adopted => {
                let admin = owned_database(env).await?;
                stage.claim("shop", existing(&owner, &admin)).await?;
                let database = query_one(&admin.url(), "SELECT current_database()::text").await?;
                (admin, database)
            }
            Origin::Made => {
                let admin = env.create_owner_admin().await?;
                let port = json!({ "port": env.postgres().port() });
                let server = stage.server("main", &admin, port).await?;
                let database = own("orders");
                let spec = json!({
                    "userName": owner, "databaseName": database, "server": server,
                    "reclaimPolicy": "Delete",
                });
                stage.claim("shop", spec).await?;
                env.adopt_database(&database);
                (admin, database)
            }
        };
        for end in ["_a", "_b", ""] {
            env.adopt_role(&format!("{reports}_user{end}"));
            env.adopt_role(&format!("{owner}{end}"));
        }
        stage.ready("shop").await?;
        let shop = Self {
            role_claims: RoleClaims::of(&stage),
            stage,
            admin,
            database,
            reports,
        };
        shop.as_owner("CREATE SCHEMA sales; CREATE TABLE sales.t AS SELECT 1 AS id; CREATE SCHEMA audit; CREATE TABLE audit.t AS SELECT 2 AS id").await?;
        Ok(shop)
    }

    /// Runs statements as the claim's own login.
    pub(super) async fn as_owner(&self, sql: &str) -> Result<()> {
        query(&uri(&self.stage.secret("shop").await?), sql)
            .await
            .map(drop)
    }

    pub(super) async fn published(&self) -> Result<Texts> {
        self.stage.secret(&self.reports).await
    }

    /// Runs a statement with what the role claim publishes.
    async fn as_reports(&self, sql: &str) -> Result<()> {
        query(&uri(&self.published().await?), sql).await.map(drop)
    }

    async fn is_refused(&self, sql: &str) -> Result<()> {
        let outcome = self.as_reports(sql).await;
        let words = outcome.err().map(|err| format!("{err:#}"));
        let words = words.unwrap_or_default();
        ensure!(words.contains("permission denied"), "{sql}: {words}");
        Ok(())
    }

    async fn map(&self, map: Value) -> Result<()> {
        let name = &self.reports;
        let patch = json!({ "spec": { "schemarolemap": map } });
        self.role_claims.patch(name, patch).await
    }

    /// Waits until the role claim as it is now is Ready.
    pub(super) async fn settled(&self) -> Result<api::role_claim::DbRoleClaim> {
        wait_for("the role claim to settle", async || {
            let found = self.role_claims.get(&self.reports).await?;
            let status = found.status.clone().unwrap_or_default();
            let ready = api::conditions::find(&status.conditions, Type::Ready);
            ensure!(
                ready.is_some_and(|ready| ready.status == "True"
                    && ready.observed_generation == found.metadata.generation),
                "{}",
                serde_json::to_string(&status)?
            );
            Ok(Some(found))
        })
        .await
    }

    async fn rotate(&self) -> Result<()> {
        self.role_claims.rotate(&self.reports).await
    }

    pub(super) async fn count(&self, env: &TestEnv, sql: &str) -> Result<String> {
        ask(env.postgres(), &self.database, sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_role_claim_has_its_rights_whatever_the_source() -> Result<()> {
    env(async |env| {
        let _controller = env.controller("").await?;
        for origin in [Origin::Adopted, Origin::Made] {
            let shop = Shop::open(env, origin).await?;
            life(env, &shop).await?;
            shop.role_claims.delete(&shop.reports).await?;
            shop.stage.event(&shop.reports, "Deleted").await?;
            let left = format!(
                "SELECT count(*) FROM pg_roles WHERE rolname LIKE '{}%'",
                shop.reports
            );
            assert_eq!(shop.count(env, &left).await?, "0");
            // What it made is the claim's now.
            shop.as_owner("DROP TABLE sales.made").await?;
            shop.stage.delete("shop").await?;
        }
        Ok(())
    })
    .await
}

async fn life(env: &TestEnv, shop: &Shop) -> Result<()> {
    let map = json!({ "schemarolemap": { "sales": "regular", "audit": "readonly" } });
    shop.role_claims.create(&shop.reports, "shop", map).await?;
    let found = shop.settled().await?;
    let status = found.status.unwrap_or_default();
    let login = status.username.clone().unwrap_or_default();
    assert_eq!(login, format!("{}_user_a", shop.reports));
    let schemas = status.schemas_status.unwrap_or_default();
    let valid = schemas.schema_status.get("sales");
    assert_eq!(valid.map(String::as_str), Some("valid"));
    assert_eq!(schemas.role_status.len(), 2, "{:?}", schemas.role_status);
    let published = shop.published().await?;
    assert_eq!(published.get(key::USERNAME), Some(&login));
    let role = format!("{}_user", shop.reports);
    assert_eq!(log_in(&published).await?, role);
    shop.as_reports(
        "INSERT INTO sales.t VALUES (2); SELECT * FROM audit.t; CREATE TABLE sales.made (id int)",
    )
    .await?;
    shop.is_refused("INSERT INTO audit.t VALUES (3)").await?;
    shop.is_refused("TRUNCATE sales.t").await?;
    // Row 36: names without a schema are found in the map's schemas, in their order.
    shop.as_reports("SELECT * FROM made").await?;
    // What the claim makes later, too; and the claim can use what the role claim makes.
    shop.as_owner("CREATE TABLE audit.later AS SELECT 1 AS id; INSERT INTO sales.made VALUES (1)")
        .await?;
    shop.as_reports("SELECT * FROM audit.later").await?;

    // Row 40: its own rotation, on demand, with the Secret true at every moment.
    let stage = &shop.stage;
    let prober = Prober::start(stage.client.clone(), &stage.namespace, &shop.reports);
    for _ in 0..3 {
        shop.rotate().await?;
        shop.as_reports("ALTER TABLE sales.made ADD COLUMN IF NOT EXISTS x int")
            .await?;
    }
    let claim = stage.secret("shop").await?;
    edits(shop).await?;
    hands(env, shop).await?;

    let report = prober.stop().await?;
    ensure!(report.failures == 0, "{report:?}");
    ensure!(report.credentials >= 4, "{report:?}");
    assert_eq!(
        stage.secret("shop").await?,
        claim,
        "the claim's own is not touched"
    );
    Ok(())
}

/// Row 37: an entry that is removed is gone at once, also for a session that is open.
async fn edits(shop: &Shop) -> Result<()> {
    let mut session = testkit::postgres::connect(&uri(&shop.published().await?)).await?;
    testkit::postgres::run_in(&mut session, "SELECT * FROM audit.t").await?;
    shop.map(json!({ "audit": null, "sales": "readonly" }))
        .await?;
    shop.settled().await?;
    let refused = testkit::postgres::run_in(&mut session, "SELECT * FROM audit.t").await;
    ensure!(refused.is_err(), "an open session keeps what was revoked");
    drop(session);
    shop.is_refused("SELECT * FROM audit.t").await?;
    shop.is_refused("INSERT INTO sales.t VALUES (3)").await?;
    shop.as_reports("SELECT * FROM sales.t").await?;
    let status = shop.settled().await?.status.unwrap_or_default();
    let schemas = status.schemas_status.unwrap_or_default();
    assert_eq!(schemas.schema_status.keys().collect::<Vec<_>>(), ["sales"]);
    Ok(())
}

/// What hands do to logins and rights on the server is undone.
async fn hands(env: &TestEnv, shop: &Shop) -> Result<()> {
    let role = format!("{}_user", shop.reports);
    shop.map(json!({ "audit": "admin" })).await?;
    let status = shop.settled().await?.status.unwrap_or_default();
    let schemas = status.schemas_status.unwrap_or_default();
    let roles = schemas.role_status.keys();
    let carrier = roles
        .into_iter()
        .find(|name| name.starts_with("sales_readonly"));
    let carrier = carrier.cloned().unwrap_or_default();
    let spoil = format!(
        "REVOKE \"{carrier}\" FROM \"{role}\"; REVOKE SELECT ON sales.t FROM \"{carrier}\"; \
         GRANT DELETE ON sales.t TO \"{carrier}\""
    );
    query(
        &env.postgres().superuser().database(&shop.database).url(),
        &spoil,
    )
    .await?;
    shop.map(json!({ "audit": "readonly" })).await?;
    shop.settled().await?;
    shop.as_reports("SELECT * FROM sales.t").await?;
    shop.is_refused("DELETE FROM sales.t").await?;
    Ok(())
}

/// What the original made is taken over: its login stays published, its too many rights go.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_original_made_for_a_role_claim_is_taken_over() -> Result<()> {
    env(async |env| {
        let controller = env.controller("").await?;
        let shop = Shop::open(env, Origin::Made).await?;
        let (stage, name) = (&shop.stage, &shop.reports);
        let login = format!("{name}_user_a");
        let schema = own("till");
        let carrier = format!("{schema}_readonly");
        let till = format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.t AS SELECT 1 AS id");
        shop.as_owner(&till).await?;
        env.adopt_role(&carrier);
        let first = stage.secret("shop").await?;
        let superuser = env.postgres().superuser().database(&shop.database).url();
        let admin = shop.admin.login();
        let made = format!(
            "CREATE ROLE {carrier}; CREATE ROLE \"{login}\" LOGIN PASSWORD 'of-the-original' IN ROLE {carrier};
             GRANT {carrier} TO \"{admin}\" WITH ADMIN OPTION;
             GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {carrier}; GRANT ALL ON SCHEMA {schema} TO {carrier};
             GRANT ALL ON DATABASE \"{database}\" TO {carrier};
             GRANT USAGE ON SCHEMA {schema} TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO PUBLIC",
            database = shop.database,
        );
        query(&superuser, &made).await?;
        controller.stop().await?;
        let map = json!({ "schemarolemap": { &schema: "readonly" } });
        shop.role_claims.create(name, "shop", map).await?;
        let words = uri(&first);
        let words = secrecy::ExposeSecret::expose_secret(&words);
        let host = words.split('@').nth(1).unwrap_or_default();
        let url = format!("postgres://{login}:of-the-original@{host}");
        stage
            .put_secret(
                name,
                &[
                    (key::USERNAME, &login),
                    (key::PASSWORD, "of-the-original"),
                    (key::URI_DSN, &url),
                ],
            )
            .await?;
        let dressed = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "dbrole-controller" } } });
        stage.patch_secret(name, dressed).await?;
        let now = "2026-01-01T00:00:00Z";
        let status = json!({ "username": login, "schemasrolesupdatedat": now,
            "schemasstatus": { "schemastatus": { &schema: "valid" }, "rolestatus": { &carrier: "valid" } } });
        shop.role_claims.patch_status(name, status).await?;
        let prober = Prober::start(stage.client.clone(), &stage.namespace, name);
        let _controller = env.controller("").await?;
        let found = shop.settled().await?;
        let status = found.status.unwrap_or_default();
        assert_eq!(status.username.as_deref(), Some(login.as_str()));
        let kept = shop.published().await?;
        assert_eq!(kept[key::PASSWORD], "of-the-original");
        let roles = status.schemas_status.unwrap_or_default().role_status;
        assert_eq!(roles.keys().collect::<Vec<_>>(), [&carrier]);
        shop.as_reports("SELECT * FROM t").await?;
        shop.is_refused("INSERT INTO t VALUES (3)").await?;
        let mine = format!("CREATE TABLE {schema}.mine (id int)");
        shop.is_refused(&mine).await?;
        let open = format!("SELECT count(*) FROM pg_class, aclexplode(relacl) a WHERE relnamespace = '{schema}'::regnamespace AND a.grantee = 0");
        assert_eq!(shop.count(env, &open).await?, "0");
        shop.rotate().await?;
        let report = prober.stop().await?;
        ensure!(report.failures == 0, "{report:?}");
        Ok(())
    })
    .await
}

/// Consent that is taken back, a source that goes, and both ways of sharing after each other.
#[tokio::test(flavor = "multi_thread")]
async fn row_39_logins_go_with_consent_with_the_map_and_with_the_source() -> Result<()> {
    env(async |env| {
        let _controller = env.controller("").await?;
        let shop = Shop::open(env, Origin::Made).await?;
        let (stage, name) = (&shop.stage, &shop.reports);
        let logins = format!("SELECT count(*) FROM pg_roles WHERE rolname LIKE '{name}%'");
        let gone = async |what: &str| {
            wait_for(what, async || {
                let left = ask(env.postgres(), "postgres", &logins).await?;
                ensure!(left == "0", "{left} roles");
                Ok(Some(()))
            })
            .await
        };
        let map = json!({ "schemarolemap": { "sales": "admin" } });
        shop.role_claims.create(name, "shop", map.clone()).await?;
        shop.settled().await?;
        // A copy instead: the Secret names the claim's login, and its own ones go.
        shop.map(Value::Null).await?;
        gone("the logins of a role claim that is a copy now").await?;
        let claim = stage.secret("shop").await?;
        assert_eq!(shop.published().await?[key::USERNAME], claim[key::USERNAME]);
        // And back.
        shop.map(json!({ "sales": "admin" })).await?;
        shop.settled().await?;
        wait_for("its own login to be published", async || {
            let login = shop.published().await?.remove(key::USERNAME);
            ensure!(login.is_some_and(|login| login.starts_with(name)));
            Ok(Some(()))
        })
        .await?;
        // The claim's database goes, and what stood in it.
        stage.delete("shop").await?;
        gone("the logins at a source that is deleted").await?;
        ensure!(
            stage.secrets().get_opt(name).await?.is_none(),
            "a dead credential"
        );
        stage.event(name, "Withdrawn").await?;
        let blocked = shop
            .role_claims
            .condition(name, Type::Ready, "Blocked")
            .await?;
        ensure!(
            blocked.message.contains("does not exist"),
            "{}",
            blocked.message
        );
        // A role claim whose source is gone ends, and says what it could not look at.
        shop.role_claims.delete(name).await?;
        stage.event(name, "LeftBehind").await?;

        let shop = Shop::open(env, Origin::Adopted).await?;
        let (stage, name) = (&shop.stage, &shop.reports);
        let neighbour = env.neighbour().await?;
        let listed = json!({ "spec": { "roleClaimNamespaces": { "names": [neighbour] } } });
        stage.patch("shop", listed).await?;
        let theirs = RoleClaims::within(stage, &neighbour);
        theirs.create(name, "shop", map).await?;
        theirs.ready(name).await?;
        let unlisted = json!({ "spec": { "roleClaimNamespaces": null } });
        stage.patch("shop", unlisted).await?;
        theirs.condition(name, Type::Ready, "Forbidden").await?;
        let logins = format!("SELECT count(*) FROM pg_roles WHERE rolname LIKE '{name}%'");
        assert_eq!(ask(env.postgres(), "postgres", &logins).await?, "0");
        theirs.delete(name).await
    })
    .await
}
