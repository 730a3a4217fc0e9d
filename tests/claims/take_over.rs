//! Taking over what the original controller left: in place, without a rotation, by class.

mod left;

use anyhow::Result;
use api::conditions::Type;
use futures::future::try_join_all;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::env;
use testkit::postgres::{PostgresServer, execute, query_one, quote};
use testkit::prober::Prober;

use self::left::{Database, Left, Original, uid_of};
use crate::support::{Stage, log_in, rotation_of, uri};

#[tokio::test(flavor = "multi_thread")]
async fn row_97_what_the_original_left_is_taken_over_as_it_was() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let original = Original::start(env, &stage).await?;
        let adopted = ("adopted", Database::Adopted);
        let adopted = original.serve(env, adopted, json!({})).await?;
        let cache = original.leave_cache("adopted").await?;
        let original = Original::start(env, &stage).await?;
        let port = json!({ "port": env.postgres().port() });
        stage.server("own", &original.admin, port).await?;
        let own = original
            .serve(env, ("own", Database::Own), json!({}))
            .await?;
        let all = [adopted, own];
        let start = |left: &Left| Prober::start(env.client(), env.namespace(), left.name);
        let probers: Vec<_> = all.iter().map(start).collect();
        let before = try_join_all(all.iter().map(Left::verifiers)).await?;
        let _controller = env.controller("").await?;
        for (left, verifiers) in all.iter().zip(&before) {
            left.is_taken_over(&stage, verifiers).await?;
        }
        let note = stage.event("adopted", "LeftoverRemoved").await?;
        assert!(note.contains(&cache), "{note}");
        assert!(stage.secrets().get_opt(&cache).await?.is_none());
        // From now on it is a claim like any other.
        for left in &all {
            stage.rotate(left.name).await?;
            let published = stage.secret(left.name).await?;
            assert_eq!(log_in(&published).await?, left.role);
            // Pods hold the original's credential for one overlap more, and nothing is lost.
            assert_eq!(log_in(&left.secret).await?, left.role);
            let kept = query_one(&uri(&published), "SELECT id::text FROM receipts").await?;
            assert_eq!(kept, "7");
        }
        for prober in probers {
            let report = prober.stop().await?;
            assert_eq!(report.failures, 0, "{:?}", report.first_failures);
            assert!(report.credentials >= 2, "{report:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_14_what_falls_due_while_nobody_is_there_is_done_by_who_comes_next() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let original = Original::start(env, &stage).await?;
        let shop = ("shop", Database::Adopted);
        // The original rotated half an hour ago, so this is due before we are there.
        let due = json!({ "rotation": { "period": "10m" } });
        let left = original.serve(env, shop, due).await?;
        let prober = Prober::start(env.client(), env.namespace(), "shop");
        let rotated = async |suffix: &str| {
            let login = format!("{}_{suffix}", left.role);
            let what = format!("{login} to be published");
            let is_so = |claim: &api::claim::DatabaseClaim| {
                let rotation = rotation_of(claim);
                rotation.is_some_and(|rotation| rotation.current_login.as_ref() == Some(&login))
            };
            stage.claim_when("shop", &what, is_so).await
        };
        let controller = env.controller("").await?;
        rotated("a").await?;
        assert_eq!(log_in(&left.secret).await?, left.role);
        // Settled for ten minutes; what then falls due in our absence is not lost either.
        stage.ready("shop").await?;
        controller.kill().await?;
        let due = json!({ "spec": { "rotation": { "period": "1s" } } });
        stage.patch("shop", due).await?;
        let _next = env.controller("").await?;
        rotated("b").await?;
        let report = prober.stop().await?;
        assert_eq!(report.failures, 0, "{:?}", report.first_failures);
        assert!(report.credentials >= 2, "{report:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_97_roles_that_the_admin_may_not_change_are_named_and_left_alone() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        // As after an upgrade of the server: from version 16 on, CREATEROLE alone is not enough
        // for roles that the admin did not make there.
        let server = PostgresServer::builder().major(18).start().await?;
        let admin = server.create_owner_admin().await?.dsn;
        server.create_database("orders", admin.login()).await?;
        let original = Original {
            stage: &stage,
            server: server.access(),
            maker: server.superuser().database("orders"),
            admin: admin.clone().database("orders"),
        };
        let left = original
            .serve(env, ("shop", Database::Adopted), json!({}))
            .await?;
        let (secret, verifiers) = (stage.secrets().get("shop").await?, left.verifiers().await?);
        let _controller = env.controller("").await?;
        let ready = stage.condition("shop", Type::Ready, "Forbidden").await?;
        assert!(ready.message.contains(&left.role), "{}", ready.message);
        assert_eq!(stage.secrets().get("shop").await?, secret);
        assert_eq!(left.marks().await?, "");
        log_in(&left.secret).await?;
        let all = ["", "_a", "_b"].map(|suffix| quote(&format!("{}{suffix}", left.role)));
        let (all, admin) = (all.join(", "), quote(admin.login()));
        let grant = format!("GRANT {all} TO {admin} WITH ADMIN OPTION");
        execute(&server.superuser().url(), &grant).await?;
        stage.nudge("shop").await?;
        left.is_taken_over(&stage, &verifiers).await?;
        stage.rotate("shop").await?;
        log_in(&stage.secret("shop").await?).await?;
        server.stop().await
    })
    .await
}

#[tokio::test]
async fn row_97_side_by_side_each_class_serves_its_own() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let theirs = json!({ "class": "original" });
        let kind = ("theirs", Database::Adopted);
        let theirs = Original::start(env, &stage)
            .await?
            .serve(env, kind, theirs)
            .await?;
        let kind = ("ours", Database::Adopted);
        let ours = Original::start(env, &stage)
            .await?
            .serve(env, kind, json!({}))
            .await?;
        let verifiers = (theirs.verifiers().await?, ours.verifiers().await?);
        let claim = stage.get("theirs").await?;
        let secret = stage.secrets().get("theirs").await?;

        let _controller = env.controller("driftCheckPeriod: 1s\n").await?;
        ours.is_taken_over(&stage, &verifiers.1).await?;
        // Long enough for the controller to have seen the other claim, too.
        stage.rotate("ours").await?;
        assert_eq!(stage.get("theirs").await?, claim);
        assert_eq!(stage.secrets().get("theirs").await?, secret);
        assert_eq!(theirs.verifiers().await?, verifiers.0);
        assert_eq!(theirs.marks().await?, "");
        assert_eq!(stage.events("theirs").await?, []);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_97_a_secret_that_disagrees_with_the_status_is_not_taken_over() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let original = Original::start(env, &stage).await?;
        let left = original
            .serve(env, ("shop", Database::Adopted), json!({}))
            .await?;
        let other = format!("{}_a", left.role);
        let info = json!({ "connectionInfo": { "userName": other } });
        let status = Patch::Merge(json!({ "status": { "activeDB": info } }));
        let (claims, params) = (stage.claims(), PatchParams::default());
        claims.patch_status("shop", &params, &status).await?;
        let (secret, verifiers) = (stage.secrets().get("shop").await?, left.verifiers().await?);

        let _controller = env.controller("").await?;
        let ready = stage.condition("shop", Type::Ready, "Blocked").await?;
        assert!(ready.message.contains("Secret shop"), "{}", ready.message);
        assert_eq!(stage.secrets().get("shop").await?, secret);
        assert_eq!(left.verifiers().await?, verifiers);
        assert_eq!(left.marks().await?, "");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_97_a_take_over_that_was_cut_short_is_finished() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let original = Original::start(env, &stage).await?;
        let left = original
            .serve(env, ("shop", Database::Adopted), json!({}))
            .await?;
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
            execute(&original.admin.url(), &sql).await?;
        }
        let verifiers = left.verifiers().await?;
        let _controller = env.controller("").await?;
        left.is_taken_over(&stage, &verifiers).await
    })
    .await
}
