//! `/metrics` over TLS, for readers whom the cluster's RBAC allows `get` on `/metrics`.
//! The certificate is made at start and signed by itself: readers are told who asks, not who answers.

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::Response,
};
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::chain;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the certificate of the metrics server could not be made")]
    Certificate(#[from] rcgen::Error),
    #[error("the metrics server could not start")]
    Start(#[from] std::io::Error),
}

/// Serves `router` over TLS to who may read it.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    client: Client,
    token: CancellationToken,
) -> Result<(), Error> {
    let made = rcgen::generate_simple_self_signed(vec!["db-controller-metrics".to_owned()])?;
    let certificate = made.cert.der().to_vec();
    let config =
        RustlsConfig::from_der(vec![certificate], made.signing_key.serialize_der()).await?;
    let router = router.layer(middleware::from_fn_with_state(client, admit));
    let handle = axum_server::Handle::new();
    let server = axum_server::from_tcp_rustls(listener.into_std()?, config)?
        .handle(handle.clone())
        .serve(router.into_make_service());
    tokio::select! {
        biased;
        () = token.cancelled() => handle.shutdown(),
        ended = server => ended?,
    }
    Ok(())
}

/// Asks the API server who the bearer is, and whether that may read metrics.
async fn admit(
    State(client): State<Client>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
    let bearer = bearer.ok_or(StatusCode::UNAUTHORIZED)?.to_owned();
    let user = authenticated(&client, bearer).await.map_err(unavailable)?;
    let user = user.ok_or(StatusCode::UNAUTHORIZED)?;
    if !may_read(&client, user).await.map_err(unavailable)? {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(next.run(request).await)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn unavailable(err: kube::Error) -> StatusCode {
    tracing::warn!(
        error = chain(&err),
        "a reader of the metrics could not be checked"
    );
    StatusCode::SERVICE_UNAVAILABLE
}

async fn authenticated(client: &Client, token: String) -> Result<Option<UserInfo>, kube::Error> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: Some(token),
            ..TokenReviewSpec::default()
        },
        ..TokenReview::default()
    };
    let reviews = Api::<TokenReview>::all(client.clone());
    let status = reviews
        .create(&PostParams::default(), &review)
        .await?
        .status
        .unwrap_or_default();
    Ok(status.user.filter(|_| status.authenticated == Some(true)))
}

async fn may_read(client: &Client, user: UserInfo) -> Result<bool, kube::Error> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username,
            groups: user.groups,
            uid: user.uid,
            extra: user.extra,
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some("/metrics".to_owned()),
                verb: Some("get".to_owned()),
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews = Api::<SubjectAccessReview>::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
