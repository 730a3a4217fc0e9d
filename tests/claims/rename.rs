//! A changed `userName`: a new pair of logins beside the old one, and everything stays owned.

use anyhow::{Result, ensure};
use api::conditions::Type;
use api::names::secret_key as key;
use engine::rotation::Step;
use serde_json::json;
use strum::IntoEnumIterator;
use testkit::load::Load;
use testkit::postgres::{execute, quote};
use testkit::prober::Prober;
use testkit::wait::wait_for;
use testkit::{TestEnv, env};

use super::server::fresh;
use super::source::owned_database;
use crate::promise::{Fault, Faulty};
use crate::support::{Stage, Texts, ask, existing, log_in, merge, own, uri};

const WORKERS: u64 = 2;

/// A new name for an owner role, which goes with the test.
fn next_role(env: &TestEnv) -> String {
    let role = own("baker");
    for name in [format!("{role}_a"), format!("{role}_b"), role.clone()] {
        env.adopt_role(&name);
    }
    role
}

async fn rename(stage: &Stage, name: &str, role: &str) -> Result<()> {
    let patch = json!({ "spec": { "userName": role } });
    stage.patch(name, patch).await.map(drop)
}

/// Who owns the tables that the application and its login made.
async fn owners(env: &TestEnv, published: &Texts) -> Result<String> {
    let owners = "SELECT string_agg(tablename || ' ' || tableowner, ', ' ORDER BY tablename)
        FROM pg_tables WHERE tablename IN ('receipts', 'slips')";
    ask(env.postgres(), &published[key::DATABASE], owners).await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_30_a_changed_user_name_fails_nobody_and_the_old_pair_ends_after_its_overlap()
-> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let clerk = next_role(env);
        stage.claim("adopted", existing(&clerk, &admin)).await?;
        let server = env.create_owner_admin().await?;
        let port = json!({ "port": env.postgres().port() });
        let server = stage.server("own", &server, port).await?;
        let (cook, _, spec) = fresh(env, &server);
        stage.claim("made", spec).await?;
        for (name, old) in [("adopted", clerk), ("made", cook)] {
            stage.ready(name).await?;
            let before = stage.secret(name).await?;
            // One table of the application's, one that its login made as itself.
            let tables = "CREATE TABLE receipts (id int); RESET ROLE; CREATE TABLE slips (id int)";
            let tables = tables.replace("RESET ROLE", "SET ROLE NONE");
            execute(&uri(&before), &tables).await?;
            let prober = Prober::start(env.client(), env.namespace(), name);
            let workers = usize::try_from(WORKERS)?;
            let load = Load::start(env.client(), env.namespace(), name, workers).await?;
            let new = next_role(env);
            rename(&stage, name, &new).await?;
            stage.ready(name).await?;
            let note = stage.event(name, "OwnerRenamed").await?;
            assert!(note.contains(&old) && note.contains(&new), "{note}");
            let after = stage.secret(name).await?;
            assert_eq!(log_in(&after).await?, new, "{name}");
            assert_eq!(
                log_in(&before).await?,
                new,
                "{name}: the old pair, as the same role"
            );
            let slips = format!("receipts {new}, slips {old}_a");
            assert_eq!(owners(env, &after).await?, slips, "{name}");
            wait_for("the application to change over", async || {
                let report = load.report();
                ensure!(report.switches >= WORKERS, "{report:?}");
                Ok(Some(()))
            })
            .await?;
            let overlap = json!({ "spec": { "rotation": { "overlap": "1s" } } });
            stage.patch(name, overlap).await?;
            stage.event(name, "LoginRetired").await?;
            let left = format!("SELECT count(*)::text FROM pg_roles WHERE rolname LIKE '{old}%'");
            wait_for("the old pair to be gone", async || {
                let left = ask(env.postgres(), "postgres", &left).await?;
                ensure!(left == "0", "{left} roles");
                Ok(Some(()))
            })
            .await?;
            assert!(log_in(&before).await.is_err(), "{name}");
            let all_new = format!("receipts {new}, slips {new}");
            assert_eq!(owners(env, &after).await?, all_new, "{name}");
            let report = load.stop().await?;
            let failed = (report.failed_queries, report.failed_logins);
            assert_eq!(failed, (0, 0), "{name}: {:?}", report.first_failures);
            let report = prober.stop().await?;
            assert_eq!(report.failures, 0, "{name}: {:?}", report.first_failures);
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_30_a_rename_converges_after_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        let admin = owned_database(env).await?;
        let clerk = next_role(env);
        let mut spec = existing(&clerk, &admin);
        merge(&mut spec, json!({ "rotation": { "overlap": "1s" } }));
        stage.claim("shop", spec).await?;
        stage.ready("shop").await?;
        execute(
            &uri(&stage.secret("shop").await?),
            "CREATE TABLE receipts (id int)",
        )
        .await?;
        let prober = Prober::start(env.client(), env.namespace(), "shop");
        let mut roles = vec![clerk.clone()];
        for step in Step::iter() {
            let role = next_role(env);
            controller.strike_at(step)?;
            rename(&stage, "shop", &role).await?;
            controller.start_after_death().await?;
            stage.ready("shop").await?;
            assert_eq!(
                log_in(&stage.secret("shop").await?).await?,
                role,
                "{step:?}"
            );
            roles.push(role);
        }
        // Back to the first name.
        rename(&stage, "shop", &clerk).await?;
        stage.ready("shop").await?;
        let published = stage.secret("shop").await?;
        assert_eq!(log_in(&published).await?, clerk);
        assert_eq!(owners(env, &published).await?, format!("receipts {clerk}"));
        let former: Vec<_> = roles
            .iter()
            .skip(1)
            .map(|role| format!("rolname LIKE '{role}%'"))
            .collect();
        let left = format!(
            "SELECT coalesce(string_agg(rolname, ' '), '') FROM pg_roles WHERE {}",
            former.join(" OR ")
        );
        wait_for("the logins of all earlier names to be gone", async || {
            let left = ask(env.postgres(), "postgres", &left).await?;
            ensure!(left.is_empty(), "{left}");
            Ok(Some(()))
        })
        .await?;
        let report = prober.stop().await?;
        assert_eq!(report.failures, 0, "{:?}", report.first_failures);
        assert!(report.credentials > 9, "{report:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_30_a_rename_that_the_server_did_and_nobody_recorded_is_finished() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let (old, new) = (next_role(env), next_role(env));
        stage.claim("shop", existing(&old, &admin)).await?;
        stage.ready("shop").await?;
        let before = stage.secret("shop").await?;
        controller.kill().await?;
        rename(&stage, "shop", &new).await?;
        // The one transaction in which the server has the new name and the status has not.
        let [a, b] = ["a", "b"].map(|suffix| quote(&format!("{old}_{suffix}")));
        let sql = format!(
            "ALTER ROLE {old} RENAME TO {new};
             ALTER ROLE {a} SET role TO {new}; ALTER ROLE {b} SET role TO {new};",
            old = quote(&old),
            new = quote(&new),
        );
        execute(&env.postgres().superuser().url(), &sql).await?;
        let _next = env.controller("").await?;
        stage.ready("shop").await?;
        let after = stage.secret("shop").await?;
        assert_eq!(log_in(&after).await?, new);
        assert_eq!(
            log_in(&before).await?,
            new,
            "the old pair is valid for one overlap"
        );
        assert!(
            after[key::USERNAME].starts_with(&new),
            "{}",
            after[key::USERNAME]
        );
        let claim = stage.get("shop").await?;
        let server = claim
            .status
            .and_then(|status| status.server)
            .expect("a server");
        assert_eq!(server.owner_role, Some(new));
        assert_eq!(server.former_owner_roles, [old]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_30_a_name_that_is_taken_changes_nothing_until_another_is_chosen() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        let (clerk, taken, free) = (next_role(env), next_role(env), next_role(env));
        for (name, role) in [("shop", &clerk), ("neighbour", &taken)] {
            stage.claim(name, existing(role, &admin)).await?;
            stage.ready(name).await?;
        }
        let (ours, theirs) = (
            stage.secret("shop").await?,
            stage.secret("neighbour").await?,
        );
        rename(&stage, "shop", &taken).await?;
        let ready = stage.condition("shop", Type::Ready, "Blocked").await?;
        assert!(ready.message.contains(&taken), "{}", ready.message);
        assert_eq!(log_in(&stage.secret("shop").await?).await?, clerk);
        rename(&stage, "shop", &free).await?;
        stage.ready("shop").await?;
        assert_eq!(log_in(&stage.secret("shop").await?).await?, free);
        assert_eq!(log_in(&ours).await?, free);
        // The neighbour's was looked at, and not touched.
        stage.ready("neighbour").await?;
        assert_eq!(stage.secret("neighbour").await?, theirs);
        assert_eq!(log_in(&theirs).await?, taken);
        Ok(())
    })
    .await
}
