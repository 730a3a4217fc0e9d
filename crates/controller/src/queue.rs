//! Runs a reconciler over requests. Concurrency is bounded inside the reconcilers, per server and
//! overall, so that what waits for one server takes nobody's place.

use std::{convert::Infallible, ops::Deref, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use kube::runtime::controller::{self, Action};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::watch::{self, Cache};

/// Reconciles what is requested until the token ends; then waits for what is under way.
pub async fn reconcile_all<K, Ctx, Fut>(
    cache: Cache<K>,
    requests: Vec<watch::Requests<K>>,
    reconcile: impl FnMut(Arc<K>, Arc<Ctx>) -> Fut + Send + 'static,
    context: Arc<Ctx>,
    token: CancellationToken,
) where
    K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    Ctx: Send + Sync + 'static,
    Fut: Future<Output = Result<Action, Infallible>> + Send + 'static,
{
    let mut reconcile = reconcile;
    let tracker = TaskTracker::new();
    let spawner = tracker.clone();
    let requests = watch::merged(requests).take_until(token.cancelled_owned());
    let boxed = move |object: Arc<K>, context: Arc<Ctx>| {
        let pass = reconcile(object, context);
        let task = spawner.spawn(pass);
        // A pass that panicked is looked at again; it took no other with it.
        task.map(|outcome| outcome.unwrap_or_else(|_| Ok(Action::requeue(Duration::from_mins(5)))))
            .boxed()
    };
    let never = |_: Arc<K>, err: &Infallible, _: Arc<Ctx>| match *err {};
    let config = controller::Config::default();
    controller::applier(
        boxed,
        never,
        context,
        cache.deref().clone(),
        requests,
        config,
    )
    .for_each(|outcome| {
        if let Err(err) = outcome {
            tracing::debug!(error = %err, "request dropped");
        }
        std::future::ready(())
    })
    .await;
    tracker.close();
    tracker.wait().await;
}
