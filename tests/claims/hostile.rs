//! Names that break careless quoting, names that do not fit, and what no claim gets unasked.

use anyhow::{Context, Result, bail, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use futures::future::try_join_all;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use testkit::postgres::{PostgresServer, execute, query_one, quote};
use testkit::prober::Prober;
use testkit::wait::wait_for;
use testkit::{TestEnv, env};

use super::server::fresh;
use crate::support::{Stage, Texts, ask, condition_of, existing, log_in, own, rotation_of, uri};

/// Owner roles and databases at once.
const NAMES: [&str; 18] = [
    "OrderDesk",
    "order-desk",
    "order desk",
    " before and behind ",
    "quo\"te\"",
    "apo'strophe'",
    "back\\slash\\",
    "100%41%",
    "$1$$body$$",
    "a\"; DROP ROLE witness; --",
    "a'; DROP ROLE witness; --",
    "select",
    "9lives",
    "_a",
    "ünï-東京-Ⅳﬁ",
    "a@b:c/d?e#f&g=h",
    "user=mallory password=none",
    "{json}[0]\"\\u0000\"",
];

/// A claim on a new database of the test's own server.
async fn claim(stage: &Stage, server: &str, name: &str, hostile: &str) -> Result<()> {
    let spec = json!({ "userName": hostile, "databaseName": hostile, "server": server });
    stage.claim(name, spec).await.map(drop)
}

/// The keyword form as libpq reads it (manual, 34.1.1.1): a value ends at white space, and a
/// backslash takes away the meaning of what follows it.
fn keywords(dsn: &str) -> Texts {
    let mut found = Texts::new();
    let mut rest = dsn.chars().peekable();
    while rest.next_if(char::is_ascii_whitespace).is_some() || rest.peek().is_some() {
        let keyword: String = rest.by_ref().take_while(|c| *c != '=').collect();
        let mut value = String::new();
        while let Some(c) = rest.next_if(|c| !c.is_ascii_whitespace()) {
            value.push(if c == '\\' {
                rest.next().unwrap_or(c)
            } else {
                c
            });
        }
        found.insert(keyword.trim().to_owned(), value);
    }
    found
}

/// Logs in with the keyword form; returns the role and the database of the session.
async fn log_in_by_keywords(dsn: &str) -> Result<(String, String)> {
    let words = keywords(dsn);
    let word = |keyword: &str| words.get(keyword).cloned().unwrap_or_default();
    ensure!(word("sslmode") == "disable", "keywords {:?}", words.keys());
    let options = PgConnectOptions::new_without_pgpass()
        .host(&word("host"))
        .port(word("port").parse()?)
        .username(&word("user"))
        .password(&word("password"))
        .database(&word("dbname"))
        .ssl_mode(PgSslMode::Disable);
    let mut session = PgConnection::connect_with(&options).await?;
    let who = sqlx::query_as("SELECT current_user::text, current_database()::text")
        .fetch_one(&mut session)
        .await?;
    session.close().await?;
    Ok(who)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_hostile_names_are_names_and_nothing_else() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let postgres = PostgresServer::builder().start().await?;
        postgres.create_login("witness", "").await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let server = json!({ "port": postgres.port(), "defaults": { "reclaimPolicy": "Delete" } });
        let server = stage.server("hostile", &admin, server).await?;
        // 61 bytes for a role and its suffix, 63 for a database: to the last byte.
        let (ascii, wide) = ("r".repeat(61), format!("{}r", "é".repeat(30)));
        let names: Vec<&str> = NAMES.into_iter().chain([ascii.as_str(), &wide]).collect();
        let lives = names.iter().enumerate().map(|(index, hostile)| {
            Box::pin(survives(&stage, &server, format!("name-{index}"), hostile))
        });
        try_join_all(lives).await?;
        let left = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles
            WHERE rolname !~ '^(pg_|admin_)'";
        assert_eq!(ask(&postgres, "postgres", left).await?, "postgres witness");
        let databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database";
        let databases = ask(&postgres, "postgres", databases).await?;
        assert_eq!(databases, "postgres template0 template1");
        postgres.stop().await
    })
    .await
}

/// Provisions, rotates and deletes a claim of that name, and logs in at every turn.
async fn survives(stage: &Stage, server: &str, name: String, hostile: &str) -> Result<()> {
    let life = async {
        claim(stage, server, &name, hostile).await?;
        stage.ready(&name).await?;
        let prober = Prober::start(stage.client.clone(), &stage.namespace, &name);
        stage.rotate(&name).await?;
        let published = stage.secret(&name).await?;
        ensure!(log_in(&published).await? == hostile);
        let words = published.get(key::DSN).context("no keyword form")?;
        let who = log_in_by_keywords(words).await?;
        ensure!(who == (hostile.to_owned(), hostile.to_owned()), "{who:?}");
        let report = prober.stop().await?;
        ensure!(report.failures == 0, "{:?}", report.first_failures);
        ensure!(report.attempts > 0, "the prober slept");
        stage.delete(&name).await?;
        stage.event(&name, "Deleted").await
    };
    life.await.with_context(|| format!("name {hostile:?}"))?;
    Ok(())
}

/// Hostile names in a database that was there before the claim: its own, its tables', and those of
/// system functions.
#[tokio::test]
async fn row_35_what_stands_in_an_adopted_database_may_be_called_anything() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let config = "systemFunctions:\n  \"i'b_quo\\\"te\": \"it's $$; DROP ROLE witness; --\"\n";
        let _controller = env.controller(config).await?;
        let postgres = PostgresServer::builder().start().await?;
        postgres.create_login("witness", "").await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        for (index, hostile) in NAMES.iter().enumerate().filter(|(index, _)| index % 3 == 1) {
            let name = format!("name-{index}");
            postgres.create_database(hostile, admin.login()).await?;
            let source = admin.clone().database(hostile);
            let table = quote(hostile);
            let lines = quote(&format!("{hostile}+"));
            let tables = format!(
                "CREATE TABLE {table} (id int); CREATE SEQUENCE {lines};
                 CREATE VIEW {view} AS SELECT * FROM {table}",
                view = quote(&format!("{hostile}!")),
            );
            execute(&source.url(), &tables).await?;
            let mut spec = existing(hostile, &source);
            spec["reclaimPolicy"] = "Delete".into();
            stage.claim(&name, spec).await?;
            let claim = stage.ready(&name).await?;
            assert_eq!(condition_of(&claim, Type::Degraded), None, "{hostile}");
            let published = uri(&stage.secret(&name).await?);
            let work = format!(
                "INSERT INTO {table} SELECT nextval('{lines}');
                 CREATE TABLE {own} AS SELECT * FROM {view}",
                lines = lines.replace('\'', "''"),
                own = quote(&format!("{hostile}?")),
                view = quote(&format!("{hostile}!")),
            );
            // A backslash is a backslash.
            execute(&published, &work).await.context(*hostile)?;
            let said = query_one(&published, "SELECT \"i'b\".\"quo\"\"te\"()").await?;
            assert_eq!(said, "it's $$; DROP ROLE witness; --");
            stage.delete(&name).await?;
            stage.event(&name, "Deleted").await?;
            let left = format!(
                "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE '%\\_a' OR rolname LIKE '%\\_b')
                 || ' ' || (SELECT id FROM {own})",
                own = quote(&format!("{hostile}?"))
            );
            assert_eq!(ask(&postgres, hostile, &left).await?, "0 1", "{hostile}");
        }
        let witness = "SELECT count(*)::text FROM pg_roles WHERE rolname = 'witness'";
        assert_eq!(ask(&postgres, "postgres", witness).await?, "1");
        postgres.stop().await
    })
    .await
}

#[tokio::test]
async fn row_35_names_that_the_server_would_cut_or_keeps_for_itself_are_refused() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let port = json!({ "port": env.postgres().port() });
        let server = stage.server("strict", &admin, port).await?;
        let refused = [
            ("userName", "r".repeat(62), "the server keeps 63 bytes"),
            ("databaseName", "d".repeat(64), "the server keeps 63 bytes"),
        ];
        let (crab, orders) = (own("🦀"), own("orders"));
        env.adopt_database(&orders);
        for role in [format!("{crab}_a"), format!("{crab}_b"), crab.clone()] {
            env.adopt_role(&role);
        }
        let spec = |field: &str, value: &str| {
            let mut spec = json!({ "userName": "clerk", "databaseName": orders, "server": server });
            spec[field] = value.into();
            spec
        };
        for (field, value, words) in refused {
            let Err(err) = stage.claim("long", spec(field, &value)).await else {
                bail!("{field} of {} bytes was accepted", value.len());
            };
            let text = format!("{err:#}");
            assert!(text.contains(field) && text.contains(words), "{text}");
        }
        // The API server counts characters, the controller bytes.
        let reported = [
            (
                "wide-role",
                "userName",
                "é".repeat(31),
                "62 bytes long; the limit is 61 bytes",
            ),
            (
                "wide-base",
                "databaseName",
                "é".repeat(32),
                "64 bytes long; the limit is 63 bytes",
            ),
            (
                "newline",
                "userName",
                "a\nb".to_owned(),
                "control characters",
            ),
            ("reserved", "userName", "pg_clerk".to_owned(), "pg_clerk"),
            ("nobody", "userName", "none".to_owned(), "none"),
            // Clients would not even ask to log in.
            ("crab", "userName", crab, "SASLprep"),
        ];
        for (name, field, value, words) in &reported {
            stage.claim(name, spec(field, value)).await?;
            let claim = stage
                .claim_when(name, "a refusal", |claim| {
                    condition_of(claim, Type::Ready).is_some_and(|ready| ready.status == "False")
                })
                .await?;
            let ready = condition_of(&claim, Type::Ready).context("Ready")?;
            assert!(ready.message.contains(words), "{name}: {}", ready.message);
            assert_eq!(ready.reason, "InvalidSpec", "{name}: {}", ready.message);
        }
        Ok(())
    })
    .await
}

/// A server of a weak admin with that policy, and a claim on it with more in its spec.
async fn weak(
    env: &TestEnv,
    stage: &Stage,
    (name, policy): (&str, Value),
    more: Value,
) -> Result<(String, String)> {
    let admin = env.create_owner_admin().await?;
    let server = json!({ "port": env.postgres().port(), "policy": policy });
    let server = stage.server(name, &admin, server).await?;
    let (role, database, mut spec) = fresh(env, &server);
    crate::support::merge(&mut spec, more);
    stage.claim(name, spec).await?;
    Ok((role, database))
}

#[tokio::test]
async fn row_28_extensions_come_only_when_asked_for_and_a_missing_one_is_named() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let injected = "x\"; DROP TABLE receipts; --";
        let listed = json!([
            "citext",
            "pg_cron",
            "pg_partman",
            "pg_stat_statements",
            injected
        ]);
        let (_, database) = weak(
            env,
            &stage,
            ("listed", json!({})),
            json!({ "extensions": listed }),
        )
        .await?;
        let degraded = stage
            .condition("listed", Type::Degraded, "ExtensionsMissing")
            .await?;
        // pg_stat_statements is there, but not for an admin that is no superuser to create.
        for missing in ["pg_cron", "pg_partman", "pg_stat_statements", injected] {
            assert!(degraded.message.contains(missing), "{}", degraded.message);
        }
        assert!(!degraded.message.contains("citext"), "{}", degraded.message);
        stage.ready("listed").await?;
        log_in(&stage.secret("listed").await?).await?;
        let installed = "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension";
        let found = ask(env.postgres(), &database, installed).await?;
        assert_eq!(found, "citext plpgsql");
        // Nobody asked: what is missing or special is no concern of the claim's.
        let (_, database) = weak(env, &stage, ("plain", json!({})), json!({})).await?;
        let claim = stage.ready("plain").await?;
        assert_eq!(condition_of(&claim, Type::Degraded), None);
        let found = ask(env.postgres(), &database, installed).await?;
        assert!(
            !found.contains("pg_cron") && !found.contains("pg_partman"),
            "{found}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_32_no_claim_becomes_superuser_by_asking() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("supportSuperUserElevation: true\n").await?;
        let asks = json!({ "enableSuperUser": true });
        let denied = ("denied", json!({}), "policy does not allow");
        let allowed = json!({ "allowSuperUser": true });
        let allowed = ("allowed", allowed, "has no role rds_superuser");
        for (name, policy, why) in [denied, allowed] {
            let (role, _) = weak(env, &stage, (name, policy), asks.clone()).await?;
            let claim = stage.ready(name).await?;
            let ignored = condition_of(&claim, Type::FieldsIgnored).context("a word about it")?;
            let said = &ignored.message;
            ensure!(
                said.contains("enableSuperUser") && said.contains(why),
                "{said}"
            );
            let powers = format!(
                "SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls)::text
                 FROM pg_roles WHERE rolname IN ('{role}', '{role}_a', '{role}_b')"
            );
            assert_eq!(
                ask(env.postgres(), "postgres", &powers).await?,
                "false",
                "{name}"
            );
        }
        // What is MongoDB's does nothing here, and is said to.
        let others = json!({
            "databases": ["a"], "databaseRoles": [{ "role": "read" }],
            "authDatabase": "PerDatabase", "authMechanisms": ["SCRAM-SHA-1"],
        });
        weak(env, &stage, ("documents", json!({})), others).await?;
        let claim = stage.ready("documents").await?;
        let ignored = condition_of(&claim, Type::FieldsIgnored).context("a word about them")?;
        let all = "databases, databaseRoles, authDatabase, authMechanisms: only on MongoDB";
        assert_eq!(ignored.message, all);
        // Null is the same as false, and crashes nobody.
        let null = json!({ "enableSuperUser": null, "enableReplicationRole": null });
        weak(env, &stage, ("null", json!({})), null).await?;
        let claim = stage.ready("null").await?;
        assert_eq!(condition_of(&claim, Type::FieldsIgnored), None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_13_passes_rotate_nothing_by_themselves() -> Result<()> {
    env(async |env| {
        const DONE: &str =
            "controller_runtime_reconcile_total{controller=\"databaseclaim\",result=\"success\"}";
        let stage = Stage::of(env);
        let config = "driftCheckPeriod: 1s\n";
        let controller = env.controller(config).await?;
        let (role, _) = weak(env, &stage, ("shop", json!({})), json!({})).await?;
        stage.ready("shop").await?;
        let published = stage.secret("shop").await?;
        let verifiers = format!(
            "SELECT string_agg(rolpassword, ' ' ORDER BY rolname) FROM pg_authid WHERE rolname LIKE '{role}%'"
        );
        let before = ask(env.postgres(), "postgres", &verifiers).await?;
        for touch in 0..10 {
            let label = json!({ "metadata": { "labels": { "touched": touch.to_string() } } });
            stage.patch("shop", label).await?;
        }
        stage.patch("shop", json!({ "spec": { "appId": "till" } })).await?;
        stage.ready("shop").await?;
        controller.kill().await?;
        let again = env.controller(config).await?;
        stage.nudge("shop").await?;
        wait_for("some passes", async || {
            let passes = again.metric(DONE).await?;
            ensure!(passes >= 4.0, "{passes} passes");
            Ok(Some(()))
        })
        .await?;
        let claim = stage.ready("shop").await?;
        assert_eq!(rotation_of(&claim).map(|rotation| rotation.generation), Some(1));
        assert_eq!(stage.secret("shop").await?, published);
        assert_eq!(ask(env.postgres(), "postgres", &verifiers).await?, before);
        Ok(())
    })
    .await
}
