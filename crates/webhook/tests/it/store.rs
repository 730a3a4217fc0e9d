//! Certificates in a real cluster: replicas that start at once, and configurations that trust.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use webhook::certificate::store::{self, Registrations};

#[tokio::test]
async fn row_59_replicas_that_start_at_once_end_with_one_authority() -> Result<()> {
    testkit::env(async |env| {
        let names = vec!["webhook.store.svc".to_owned()];
        let keep =
            async |now| store::keep(&env.client(), env.namespace(), "webhook", &names, now).await;
        let now = Timestamp::now();
        let first = futures::future::join_all((0..6).map(|_| keep(now))).await;
        let mut kept: Vec<_> = first.into_iter().collect::<Result<_, _>>()?;
        let first = kept.pop().context("no replica")?;
        assert!(kept.iter().all(|other| other.data() == first.data()));

        // A long time later all renew at once.
        let later = now + SignedDuration::from_hours(61 * 24);
        let second = futures::future::join_all((0..6).map(|_| keep(later))).await;
        let mut kept: Vec<_> = second.into_iter().collect::<Result<_, _>>()?;
        let second = kept.pop().context("no replica")?;
        assert!(kept.iter().all(|other| other.data() == second.data()));
        assert_eq!(second.authorities, first.authorities);
        assert_ne!(second.leaf.chain, first.leaf.chain);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_59_the_bundle_is_written_where_it_differs_and_only_there() -> Result<()> {
    testkit::env(async |env| {
        let name = env.namespace();
        let hook = |name: &str| {
            json!({
                "name": name,
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            })
        };
        let hooks = [hook("a.example.org"), hook("b.example.org")];
        let configuration: MutatingWebhookConfiguration =
            serde_json::from_value(json!({"metadata": {"name": name}, "webhooks": hooks}))?;
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(env.client());
        configurations
            .create(&PostParams::default(), &configuration)
            .await?;
        let names = vec!["webhook.store.svc".to_owned()];
        let now = Timestamp::now();
        let kept = store::keep(&env.client(), name, "webhook", &names, now).await?;
        let bundle = kept.authorities.as_str();
        let client = env.client();
        let registrations = Registrations {
            mutating: name.to_owned(),
            validating: name.to_owned(),
        };
        let both = (0..2).map(|_| store::publish(&client, &registrations, bundle));
        let _: Vec<()> = futures::future::try_join_all(both).await?;
        let written = configurations.get(name).await?;
        let hooks = written.webhooks.as_deref().unwrap_or_default();
        assert_eq!(hooks.len(), 2);
        for hook in hooks {
            let seen = hook.client_config.ca_bundle.as_ref();
            assert_eq!(seen.map(|it| it.0.as_slice()), Some(bundle.as_bytes()));
        }
        store::publish(&client, &registrations, bundle).await?;
        let again = configurations.get(name).await?;
        let version = |it: &MutatingWebhookConfiguration| it.metadata.resource_version.clone();
        assert_eq!(version(&again), version(&written));
        configurations
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    })
    .await
}
