//! Each observer sees what it is there for, and can be made to fail.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use secrecy::{ExposeSecret, SecretString};
use testkit::fault_proxy::{Fault, FaultProxy};
use testkit::load::Load;
use testkit::postgres::{Dsn, execute, quote};
use testkit::prober::{Prober, URI_KEY};
use testkit::wait::wait_for;

async fn publish(secrets: &Api<Secret>, dsn: &SecretString) -> Result<()> {
    let uri = ByteString(dsn.expose_secret().as_bytes().to_vec());
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some("shop".to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(URI_KEY.to_owned(), uri)])),
        ..Secret::default()
    };
    let params = PatchParams::apply("test").force();
    secrets
        .patch("shop", &params, &Patch::Apply(&secret))
        .await
        .context("publish")
        .map(drop)
}

#[tokio::test]
async fn the_prober_counts_a_broken_promise_and_nothing_else() -> Result<()> {
    testkit::env(async |env| {
        let secrets: Api<Secret> = Api::namespaced(env.client(), env.namespace());
        let prober = Prober::start(env.client(), env.namespace(), "shop");
        let [first, second] = [env.create_login("a").await?, env.create_login("b").await?];
        publish(&secrets, &first.url()).await?;
        wait_for("attempts", async || {
            Ok((prober.report().attempts > 5).then_some(()))
        })
        .await?;
        publish(&secrets, &second.url()).await?;
        wait_for("the switch", async || {
            Ok((prober.report().credentials > 1).then_some(()))
        })
        .await?;
        assert_eq!(prober.report().failures, 0, "{:?}", prober.report());

        let drop_login = format!("DROP ROLE {}", quote(second.login()));
        execute(&env.postgres().superuser().url(), &drop_login).await?;
        // A login under way at the DROP may end with other words; every later one is refused.
        wait_for("refused logins", async || {
            let refused = prober
                .report()
                .first_failures
                .iter()
                .any(|text| text.contains("password authentication failed"));
            Ok(refused.then_some(()))
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_application_follows_its_secret_without_a_failed_query() -> Result<()> {
    testkit::env(async |env| {
        let secrets: Api<Secret> = Api::namespaced(env.client(), env.namespace());
        let database = env.create_database("orders").await?;
        let superuser = env.postgres().superuser().database(&database);
        publish(&secrets, &superuser.url()).await?;
        let load = Load::start(env.client(), env.namespace(), "shop", 2).await?;
        publish(
            &secrets,
            &superuser
                .clone()
                .parameter("application_name", "next")
                .url(),
        )
        .await?;
        wait_for("the switch", async || {
            Ok((load.report().switches >= 2).then_some(()))
        })
        .await?;
        let report = load.report();
        assert_eq!(
            (report.failed_queries, report.failed_logins),
            (0, 0),
            "{report:?}"
        );

        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE application_name = 'next'";
        execute(&env.postgres().superuser().url(), cut).await?;
        let failed = async || Ok((load.report().failed_queries > 0).then_some(()));
        wait_for("failed queries", failed).await?;
        load.stop().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn the_fault_proxy_switches_between_faults() -> Result<()> {
    testkit::env(async |env| {
        let port = env.postgres().port();
        let proxy = FaultProxy::start(([127, 0, 0, 1], port)).await?;
        let dsn: Dsn = env
            .postgres()
            .superuser()
            .host("127.0.0.1")
            .port(proxy.port());
        let log_in = async || execute(&dsn.url(), "SELECT 1").await;
        log_in().await?;
        assert_eq!(proxy.connections(), 1);

        proxy.set(Fault::CutAfter(100));
        assert!(log_in().await.is_err());
        proxy.set(Fault::BlackHole);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), log_in())
                .await
                .is_err()
        );
        proxy.set(Fault::Refuse);
        wait_for("a refusal", async || {
            let refused = log_in().await.err().map(|err| format!("{err:#}"));
            Ok(refused.filter(|text| text.contains("refused")))
        })
        .await?;
        proxy.set(Fault::None);
        wait_for("a login", async || log_in().await.map(Some)).await?;
        Ok(())
    })
    .await
}
