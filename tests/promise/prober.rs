//! The observer observed: it must be able to fail.

use anyhow::{Result, ensure};
use testkit::env;
use testkit::postgres::{execute, quote};
use testkit::prober::Prober;
use testkit::wait::wait_for;

use super::kills::adopted;
use crate::support::Stage;
use api::names::secret_key;
use serde_json::json;

#[tokio::test]
async fn a_password_changed_behind_the_controllers_back_fails_the_prober() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let _controller = env.controller("").await?;
        let (subject, _) = adopted(env, &stage, json!({})).await?;
        stage.ready(&subject.name).await?;
        let prober = Prober::start(env.client(), env.namespace(), &subject.name);
        wait_for("logins", async || {
            Ok((prober.report().attempts > 5).then_some(()))
        })
        .await?;
        assert_eq!(prober.report().failures, 0);
        let secret = stage.secret(&subject.name).await?;
        let login = quote(&secret[secret_key::USERNAME]);
        let sql = format!("ALTER ROLE {login} PASSWORD 'another'");
        execute(&env.postgres().superuser().url(), &sql).await?;
        wait_for("failures", async || {
            Ok((prober.report().failures > 0).then_some(()))
        })
        .await?;
        let report = prober.stop().await?;
        let first = &report.first_failures[0];
        ensure!(first.contains("password authentication failed"), "{first}");
        Ok(())
    })
    .await
}
