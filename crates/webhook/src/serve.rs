//! The server: paths of the registrations, TLS, and an answer to whatever comes.
//!
//! What cannot be read is answered as a refusal that says so, and nothing here panics. Only a pod
//! whose claim is unknown waits, and not for long.

mod answer;

use std::{io, sync::Arc, time::Duration};

use api::names::webhook_path;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    routing::post,
};
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use k8s_openapi::api::core::v1::Pod;
use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    certificate::{self, Presented},
    convert::convert,
    guard::{self, Deletion, Namespace, Progress},
    known::Known,
    metrics::{About, Reviews},
    mutate::{Change, Refusal, mutate},
    settings::Settings,
};

/// kube-apiserver takes requests of 3 MiB, and a review holds up to two objects and their escapes.
const BODY_LIMIT: usize = 16 << 20;

/// Reviews under way get so long to end when the server stops; the API server waits as long.
const DRAIN: Duration = Duration::from_secs(10);

/// A claim and a pod that are applied together race: the webhook hears of the claim by a watch. So
/// much may the watch be behind. Well below the time-out of the registrations.
const HEARING: Duration = Duration::from_secs(1);

/// What answers are made from.
#[derive(Clone)]
pub struct Webhook {
    pub settings: Arc<Settings>,
    pub known: Arc<dyn Known>,
    pub reviews: Reviews,
}

/// Why the server ended or did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    #[error("the webhook server failed")]
    Serve(#[source] io::Error),
}

/// The routes, for TLS and tests alike.
pub fn router(webhook: Webhook) -> Router {
    Router::new()
        .route(webhook_path::MUTATE_POD, post(mutate_pod))
        .route(webhook_path::CONVERT_POD, post(convert_pod))
        .route(webhook_path::GUARD_CLAIM, post(guard_claim))
        .route(webhook_path::GUARD_ROLE_CLAIM, post(guard_claim))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(webhook)
}

/// Serves until the token is cancelled, then lets the reviews under way end.
pub async fn run(
    listener: TcpListener,
    router: Router,
    presented: &Presented,
    token: CancellationToken,
) -> Result<(), Error> {
    // An answer is two small writes: they must not wait for each other's acknowledgement.
    let tls = RustlsAcceptor::new(RustlsConfig::from_config(presented.server_config()?))
        .acceptor(NoDelayAcceptor::new());
    let listener = listener.into_std().map_err(Error::Serve)?;
    let handle = Handle::new();
    let server = axum_server::from_tcp(listener)
        .map_err(Error::Serve)?
        .acceptor(tls)
        .handle(handle.clone())
        .serve(router.into_make_service());
    tokio::pin!(server);
    tokio::select! {
        biased;
        () = token.cancelled() => {
            handle.graceful_shutdown(Some(DRAIN));
            server.await.map_err(Error::Serve)
        }
        ended = &mut server => ended.map_err(Error::Serve),
    }
}

type Body = Result<Bytes, BytesRejection>;
type Answer = Json<AdmissionReview<DynamicObject>>;

async fn mutate_pod(State(webhook): State<Webhook>, body: Body) -> Answer {
    let started = webhook.reviews.start(About::Injection);
    let answer = answer::to(&body, async |request: &AdmissionRequest<Pod>| {
        let Some((pod, ns)) = created(request) else {
            return Ok(AdmissionResponse::from(request));
        };
        let outcome = heard(&webhook, pod, ns).await;
        let change = outcome.map_err(|refusal| {
            tracing::info!(ns, pod = pod_name(pod), %refusal, "pod refused");
            answer::Refused::forbidden(&refusal)
        })?;
        answer::changed(request, change)
    })
    .await;
    started.answered(&answer);
    answer
}

/// The decision about a pod, put off for a moment where its claim is not known.
async fn heard(webhook: &Webhook, pod: &Pod, ns: &str) -> Result<Change, Refusal> {
    let known = webhook.known.as_ref();
    let deadline = Instant::now() + HEARING;
    let mut news = known.news();
    loop {
        news.mark_unchanged();
        let outcome = mutate(pod, ns, &webhook.settings, known);
        let may_come = matches!(outcome, Err(Refusal::UnknownClaim { .. }));
        if !may_come || Instant::now() >= deadline {
            return outcome;
        }
        let Ok(Ok(())) = timeout_at(deadline, news.changed()).await else {
            return outcome;
        };
    }
}

async fn convert_pod(State(webhook): State<Webhook>, body: Body) -> Answer {
    let started = webhook.reviews.start(About::Conversion);
    let answer = answer::to(&body, async |request: &AdmissionRequest<Pod>| {
        let Some((pod, ns)) = created(request) else {
            return Ok(AdmissionResponse::from(request));
        };
        let change = convert(pod, ns, &webhook.settings.class, webhook.known.as_ref());
        answer::changed(request, change)
    })
    .await;
    started.answered(&answer);
    answer
}

async fn guard_claim(State(webhook): State<Webhook>, body: Body) -> Answer {
    let started = webhook.reviews.start(About::Deletion);
    let answer = answer::to(&body, async |request: &AdmissionRequest<DynamicObject>| {
        let allowed = AdmissionResponse::from(request);
        if request.operation != Operation::Delete || request.sub_resource.is_some() {
            return Ok(allowed);
        }
        let meta = request.old_object.as_ref().map(|claim| &claim.metadata);
        let is_under_way = meta.is_some_and(|meta| meta.deletion_timestamp.is_some());
        let ns = request.namespace.as_deref().unwrap_or_default();
        let deletion = Deletion {
            kind: &request.kind.kind,
            name: &request.name,
            labels: meta.and_then(|meta| meta.labels.as_ref()),
            progress: if is_under_way {
                Progress::UnderWay
            } else {
                Progress::Fresh
            },
            namespace: if webhook.known.is_terminating(ns) {
                Namespace::Terminating
            } else {
                Namespace::Stays
            },
            requester: request.user_info.username.as_deref(),
        };
        tracing::debug!(
            ns,
            claim = request.name,
            requester = deletion.requester,
            "deletion"
        );
        guard::admit(&deletion).map_err(|denied| answer::Refused::forbidden(&denied))?;
        Ok(allowed)
    })
    .await;
    started.answered(&answer);
    answer
}

/// The pod and its namespace, if this is the creation of one and nothing else.
fn created(request: &AdmissionRequest<Pod>) -> Option<(&Pod, &str)> {
    let is_creation = request.operation == Operation::Create && request.sub_resource.is_none();
    let pod = request.object.as_ref().filter(|_| is_creation)?;
    let own = pod.metadata.namespace.as_deref();
    Some((
        pod,
        request.namespace.as_deref().or(own).unwrap_or_default(),
    ))
}

/// The name, or what the API server will make one from.
fn pod_name(pod: &Pod) -> &str {
    let meta = &pod.metadata;
    let name = meta.name.as_deref().or(meta.generate_name.as_deref());
    name.unwrap_or_default()
}

#[cfg(test)]
mod tests;
