//! Certificate and authority are replaced while pods are created without pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::json;
use testkit::env;
use testkit::wait::wait_for;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhook::certificate::Kept;
use webhook::certificate::store::{self, Registrations};

use crate::cluster::{init_containers, labels, mutation_is_on, pod, register, unregister};
use crate::stage::Stage;
use crate::tls::{ask, trusting};

/// Who create pods at once.
const CLIENTS: usize = 8;

/// Admissions between two changes.
const PACE: u64 = 200;

/// Pods that are created and not kept, one after the other by each client.
struct Load {
    token: CancellationToken,
    clients: JoinSet<Result<()>>,
    admitted: Arc<AtomicU64>,
    started: Instant,
}

impl Load {
    fn start(pods: &Api<Pod>) -> Result<Self> {
        let token = CancellationToken::new();
        let admitted = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        let pod = pod(&labels("shop"), &json!({}))?;
        for _ in 0..CLIENTS {
            let (pods, pod) = (pods.clone(), pod.clone());
            let (token, admitted) = (token.clone(), Arc::clone(&admitted));
            clients.spawn(async move {
                let dry_run = PostParams {
                    dry_run: true,
                    ..PostParams::default()
                };
                while !token.is_cancelled() {
                    let made = pods.create(&dry_run, &pod).await?;
                    let count = init_containers(&made).len();
                    ensure!(count == 2, "a pod with {count} sidecars");
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(Self {
            token,
            clients,
            admitted,
            started: Instant::now(),
        })
    }

    /// Waits for more admissions; fails with the first that failed.
    async fn more(&mut self) -> Result<()> {
        let goal = self.admitted.load(Ordering::Relaxed) + PACE;
        wait_for(format!("{goal} admissions"), async || {
            if let Some(ended) = self.clients.try_join_next() {
                ended??;
            }
            Ok((self.admitted.load(Ordering::Relaxed) >= goal).then_some(()))
        })
        .await
    }

    async fn stop(mut self) -> Result<()> {
        self.token.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        let admitted = self.admitted.load(Ordering::Relaxed);
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!("webhook: {admitted} admissions in {seconds:.1} s, 0 failed");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_59_certificate_and_authority_change_under_load() -> Result<()> {
    env(async |env| {
        let (client, name) = (env.client(), env.namespace());
        let names = vec!["127.0.0.1".to_owned()];
        let registrations = Registrations {
            mutating: name.to_owned(),
            validating: name.to_owned(),
        };
        let now = Timestamp::now();
        // The history of a release that is two years old: what is due now is due for real.
        let keep = async |ago| store::keep(&client, name, "webhook", &names, now - ago).await;
        let first = keep(SignedDuration::from_hours(740 * 24)).await?;
        let present = keep(SignedDuration::from_hours(61 * 24)).await?;
        assert_eq!(present.authorities, first.authorities);
        let stage = Stage::present(&present.leaf).await?;
        register(env, &stage, &present.authorities, &[name]).await?;
        let pods = Api::namespaced(client.clone(), name);
        mutation_is_on(&pods).await?;
        let mut load = Load::start(&pods)?;
        load.more().await?;

        let both = keep(SignedDuration::from_hours(2)).await?;
        let authorities = |kept: &Kept| kept.authorities.matches("BEGIN").count();
        assert_eq!(authorities(&both), 2);
        assert_eq!(both.leaf.chain, present.leaf.chain);
        store::publish(&client, &registrations, &both.authorities).await?;
        load.more().await?;

        let next = keep(SignedDuration::ZERO).await?;
        assert_ne!(next.leaf.chain, present.leaf.chain);
        store::publish(&client, &registrations, &next.authorities).await?;
        stage.presented.replace(&next.leaf)?;
        load.more().await?;
        // The API server keeps its connections; this one it has to make anew.
        let fresh = trusting(&stage, &next.authorities)?;
        let asked = ask(&fresh).await;
        asked.context("a handshake with the new certificate")?;
        load.stop().await?;
        unregister(env).await?;
        stage.stop().await
    })
    .await
}
