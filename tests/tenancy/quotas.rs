//! What a server's quotas hold back, and what they never do: a claim that is there, and what mends it.

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use api::conditions::{self, Type};
use api::server::{DatabaseServer, ServerUsage};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::env;
use testkit::postgres::{PostgresServer, connect};
use testkit::wait::wait_for;

use super::stage::Tenants;
use crate::role_claims::RoleClaims;
use crate::support::{Stage, ask, condition_of, log_in, merge, rotation_of, uri};

/// A claim with names of its own on a server of the test's own.
async fn claim(stage: &Stage, server: &str, name: &str) -> Result<DatabaseClaim> {
    let spec = json!({ "userName": name, "databaseName": name, "server": server });
    stage.claim(name, spec).await
}

async fn set_quotas(stage: &Stage, server: &str, quotas: Value) -> Result<()> {
    let servers = Api::<DatabaseServer>::all(stage.client.clone());
    let patch = Patch::Merge(json!({ "spec": { "quotas": quotas } }));
    let params = PatchParams::default();
    servers.patch(server, &params, &patch).await.map(drop)?;
    Ok(())
}

async fn uses(stage: &Stage, server: &str, usage: ServerUsage) -> Result<()> {
    let servers = Api::<DatabaseServer>::all(stage.client.clone());
    wait_for(format!("server {server} to count {usage:?}"), async || {
        let found = servers.get(server).await?.status.unwrap_or_default().usage;
        ensure!(found.as_ref() == Some(&usage), "{found:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_counted_and_nobody_who_has_some_is_locked_out() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let four = json!({ "port": postgres.port(), "quotas": { "maxLogins": 5 } });
        let server = stage.server("small", &admin, four).await?;
        claim(&stage, &server, "orders").await?;
        stage.ready("orders").await?;
        let role_claims = RoleClaims::of(&stage);
        let map = json!({ "schemarolemap": { "public": "readonly" } });
        // A copy has no login of its own.
        role_claims.create("copy", "orders", json!({})).await?;
        role_claims.ready("copy").await?;
        role_claims.create("readers", "orders", map.clone()).await?;
        role_claims.ready("readers").await?;
        role_claims.create("more", "orders", map).await?;
        let blocked = role_claims
            .condition("more", Type::Ready, "Blocked")
            .await?;
        ensure!(
            blocked.message.contains("quota of 5"),
            "{}",
            blocked.message
        );
        claim(&stage, &server, "billing").await?;
        let blocked = stage.condition("billing", Type::Ready, "Blocked").await?;
        ensure!(blocked.message.contains("logins"), "{}", blocked.message);
        let roles = "SELECT count(*) FROM pg_roles WHERE rolname ~ '^(more|billing)'";
        assert_eq!(ask(&postgres, "postgres", roles).await?, "0");
        let (databases, logins) = (1, 4);
        uses(&stage, &server, ServerUsage { databases, logins }).await?;
        let page = controller.metrics().await?;
        let sample = format!("dbcontroller_server_logins{{server=\"{server}\"}} 4");
        ensure!(page.contains(&sample), "{page}");

        // Lowered below what there is: all goes on, repairs too.
        set_quotas(&stage, &server, json!({ "maxLogins": 0 })).await?;
        stage.rotate("orders").await?;
        role_claims.rotate("readers").await?;
        stage
            .secrets()
            .delete("orders", &DeleteParams::default())
            .await?;
        stage.event("orders", "SecretDeleted").await?;
        assert_eq!(log_in(&stage.secret("orders").await?).await?, "orders");

        set_quotas(&stage, &server, json!({ "maxLogins": 8 })).await?;
        role_claims.ready("more").await?;
        stage.ready("billing").await?;
        let (databases, logins) = (2, 8);
        uses(&stage, &server, ServerUsage { databases, logins }).await
    })
    .await
}

/// Status is the tenant's own to write, and makes no room.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_is_no_place_on_a_full_server() -> Result<()> {
    env(async |env| {
        let it = Tenants::meet(env).await?;
        set_quotas(
            &it.victim,
            &it.shared,
            json!({ "maxDatabases": 2, "maxLogins": 4 }),
        )
        .await?;
        let reason = it.refusal("third", json!({})).await?;
        ensure!(reason.contains("quota"), "{reason}");
        let claims =
            Api::<DatabaseClaim>::namespaced(it.mallory.client.clone(), &it.mallory.namespace);
        let forged = json!({ "status": { "error": null, "server": { "name": it.shared } } });
        let patch = Patch::Merge(forged);
        claims
            .patch_status("third", &PatchParams::default(), &patch)
            .await?;
        let edit = json!({ "spec": { "appId": "forger" } });
        it.mallory.patch("third", edit).await?;
        let what = "the forged claim to be refused again";
        let claim = it.mallory.claim_when("third", what, |claim| {
            claim
                .status
                .as_ref()
                .is_some_and(|status| status.error.is_some())
        });
        let error = claim.await?.status.and_then(|status| status.error);
        let error = error.context("a reason")?;
        ensure!(error.contains("quota"), "{error}");
        eprintln!("tenancy: a forged place: {error}");
        // The same of a role claim.
        let map = json!({
            "schemarolemap": { "public": "readonly" },
            "sourceDatabaseClaim": { "namespace": it.mallory.namespace },
        });
        let reason = it.role_refusal("readers", "mine", map).await?;
        ensure!(reason.contains("quota"), "{reason}");
        let forged = json!({ "error": null, "rotation": { "generation": 1 } });
        it.role_claims.patch_status("readers", forged).await?;
        let error = wait_for("the forged role claim to be refused again", async || {
            Ok(it
                .role_claims
                .get("readers")
                .await?
                .status
                .unwrap_or_default()
                .error)
        })
        .await?;
        ensure!(error.contains("quota"), "{error}");
        eprintln!("tenancy: a role claim's forged place: {error}");
        let roles = "SELECT count(*) FROM pg_roles WHERE rolname ~ '^(mallory_third|readers)'";
        assert_eq!(ask(&it.postgres, "postgres", roles).await?, "0");
        let databases = "SELECT count(*) FROM pg_database WHERE datname = 'mallory_third'";
        assert_eq!(ask(&it.postgres, "postgres", databases).await?, "0");
        it.is_unharmed().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_sessions_are_full_is_neither_wrong_nor_away() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let two = json!({ "port": postgres.port(), "quotas": { "maxConnectionsPerLogin": 2 } });
        let server = stage.server("small", &admin, two).await?;
        claim(&stage, &server, "orders").await?;
        stage.ready("orders").await?;
        let limits = "SELECT string_agg(rolname || ' ' || rolconnlimit, ' ' ORDER BY rolname) \
                      FROM pg_roles WHERE rolname ~ '^orders'";
        let limits = async |want: &str| {
            wait_for(format!("limits {want}"), async || {
                let found = ask(&postgres, "postgres", limits).await?;
                ensure!(found == want, "{found}");
                Ok(Some(()))
            })
            .await
        };
        limits("orders -1 orders_a 2 orders_b 2").await?;
        let published = stage.secret("orders").await?;
        let mut held = Vec::new();
        while held.len() < 2 {
            // The controller's own proof may take a place for a moment.
            let dsn = uri(&published);
            let session = wait_for("a session", async || Ok(connect(&dsn).await.ok()));
            held.push(session.await?);
        }
        ensure!(connect(&uri(&published)).await.is_err(), "a third session");
        // A drift check after the login was full: what was taken away by hand is there again.
        let login = &published["username"];
        let by_hand = format!("ALTER ROLE {login} CONNECTION LIMIT 1");
        let superuser = postgres.superuser().url();
        testkit::postgres::execute(&superuser, &by_hand).await?;
        limits("orders -1 orders_a 2 orders_b 2").await?;
        stage.nudge("orders").await?;
        let claim = stage.ready("orders").await?;
        assert_eq!(condition_of(&claim, Type::ConnectionIssue), None);
        assert_eq!(
            stage.secret("orders").await?,
            published,
            "nothing was replaced"
        );
        // A rotation publishes the other login, which has room.
        stage.rotate("orders").await?;
        assert_eq!(log_in(&stage.secret("orders").await?).await?, "orders");
        let events = stage.events("orders").await?;
        let troubles = ["PasswordRestored", "Unavailable", "NotConfirmed"];
        let is_trouble = |(reason, _): &&(String, String)| troubles.contains(&reason.as_str());
        assert_eq!(events.iter().find(is_trouble), None);

        set_quotas(&stage, &server, json!({ "maxConnectionsPerLogin": null })).await?;
        limits("orders -1 orders_a -1 orders_b -1").await
    })
    .await
}

/// Condition Rotating says that these claims wait for their turn.
async fn waiting(stage: &Stage, names: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in names {
        let claim = stage.get(name).await?;
        let rotating = condition_of(&claim, Type::Rotating);
        if rotating.is_some_and(|rotating| rotating.reason == "Throttled") {
            found.push((*name).to_owned());
        }
    }
    Ok(found)
}

fn is_done(claim: &DatabaseClaim, nonce: &str) -> bool {
    rotation_of(claim).is_some_and(|it| it.handled_nonce.as_deref() == Some(nonce))
}

/// Repairs, deleted Secrets and revocations have no turn.
async fn mend(stage: &Stage, name: &str) -> Result<()> {
    let params = DeleteParams::default();
    stage.secrets().delete(name, &params).await?;
    stage.event(name, "SecretDeleted").await?;
    assert_eq!(log_in(&stage.secret(name).await?).await?, name);
    let claim = stage.get(name).await?;
    let generation = rotation_of(&claim).context("a rotation")?.generation;
    stage.revoke(name, generation).await?;
    assert_eq!(log_in(&stage.secret(name).await?).await?, name);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_wait_for_their_turn_and_repairs_do_not() -> Result<()> {
    const NAMES: [&str; 3] = ["orders", "billing", "stock"];
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let one = json!({ "port": postgres.port(), "quotas": { "maxRotationsPerMinute": 1 } });
        let server = stage.server("slow", &admin, one).await?;
        for name in NAMES {
            // First publications are never held back.
            claim(&stage, &server, name).await?;
        }
        for name in NAMES {
            stage.ready(name).await?;
        }
        let mut nonces = Vec::new();
        for name in NAMES {
            nonces.push((name, stage.ask_rotation(name).await?));
        }
        let held = wait_for("two of three to wait", async || {
            let held = waiting(&stage, &NAMES).await?;
            ensure!(held.len() == 2, "{held:?}");
            Ok(Some(held))
        })
        .await?;
        for (name, nonce) in &nonces {
            if held.iter().any(|held| held == name) {
                assert!(!is_done(&stage.get(name).await?, nonce), "{name}");
            } else {
                let what = format!("claim {name} to rotate");
                stage
                    .claim_when(name, &what, |claim| is_done(claim, nonce))
                    .await?;
            }
            assert_eq!(log_in(&stage.secret(name).await?).await?, *name);
        }
        let page = controller.metrics().await?;
        let sample = format!("dbcontroller_rotations_throttled{{server=\"{server}\"}} 2");
        ensure!(page.contains(&sample), "{page}");
        ensure!(
            page.contains("dbcontroller_rotations_deferred{cause=\"throttled\"} 2"),
            "{page}"
        );

        // Waiting costs one write, and what is published stays.
        let [first, second] = held.as_slice() else {
            anyhow::bail!("{held:?}");
        };
        let before = stage.get(first).await?;
        let rotating = condition_of(&before, Type::Rotating).context("a condition")?;
        ensure!(
            rotating.message.contains("maxRotationsPerMinute"),
            "{}",
            rotating.message
        );
        let published = stage.secret(first).await?;
        stage.nudge(first).await?;
        mend(&stage, second).await?;
        let (now_published, after) = (stage.secret(first).await?, stage.get(first).await?);
        let (_, nonce) = nonces
            .iter()
            .find(|(name, _)| name == first)
            .context("asked")?;
        if !is_done(&after, nonce) {
            assert_eq!(after.status, before.status, "written while it waited");
            assert_eq!(now_published, published);
        }

        // A minute later it has its turn by itself.
        let what = format!("claim {first} to have its turn");
        let claim = stage
            .claim_when(first, &what, |claim| is_done(claim, nonce))
            .await?;
        assert_eq!(condition_of(&claim, Type::Rotating), None);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_was_lifted_lets_all_go_on_at_once() -> Result<()> {
    const NAMES: [&str; 4] = ["orders", "billing", "stock", "readers"];
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let one = json!({ "port": postgres.port(), "quotas": { "maxRotationsPerMinute": 1 } });
        let server = stage.server("slow", &admin, one).await?;
        let role_claims = RoleClaims::of(&stage);
        let [claims @ .., reader] = NAMES;
        for name in claims {
            claim(&stage, &server, name).await?;
            stage.ready(name).await?;
        }
        let map = json!({ "schemarolemap": { "public": "readonly" } });
        role_claims.create(reader, "orders", map).await?;
        role_claims.ready(reader).await?;
        let mut nonces = Vec::new();
        for name in claims {
            nonces.push((name, stage.ask_rotation(name).await?));
        }
        wait_for("the budget to be used up", async || {
            Ok((waiting(&stage, &claims).await?.len() == 2).then_some(()))
        })
        .await?;
        let nonce = role_claims.ask_rotation(reader).await?;
        role_claims
            .condition(reader, Type::Rotating, "Throttled")
            .await?;
        set_quotas(&stage, &server, Value::Null).await?;
        for (name, nonce) in nonces {
            let what = format!("claim {name} to rotate");
            stage
                .claim_when(name, &what, |claim| is_done(claim, &nonce))
                .await?;
        }
        role_claims.has_rotated(reader, &nonce).await?;
        assert_eq!(waiting(&stage, &claims).await?, [""; 0]);
        let status = role_claims.get(reader).await?.status.unwrap_or_default();
        assert_eq!(conditions::find(&status.conditions, Type::Rotating), None);
        Ok(())
    })
    .await
}

/// A server that is MongoDB has no bound of that kind, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_without_effect_is_said_by_the_server() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let mut spec = json!({ "engine": "mongodb", "port": 1 });
        merge(
            &mut spec,
            json!({ "quotas": { "maxConnectionsPerLogin": 5 } }),
        );
        let server = stage
            .server_of("documents", ("admin", "none"), spec)
            .await?;
        let servers = Api::<DatabaseServer>::all(stage.client.clone());
        let said = wait_for("the server to say so", async || {
            let status = servers.get(&server).await?.status.unwrap_or_default();
            Ok(conditions::find(&status.conditions, Type::FieldsIgnored).cloned())
        })
        .await?;
        ensure!(
            said.message.contains("maxConnectionsPerLogin"),
            "{}",
            said.message
        );
        Ok(())
    })
    .await
}
