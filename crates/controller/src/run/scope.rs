//! One watched scope, a namespace or all of them: its caches and its reconcilers.

use std::sync::Arc;

use api::{claim::DatabaseClaim, role_claim::DbRoleClaim};
use engine::wishes::ClaimKind;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Client,
    core::PartialObjectMeta,
    runtime::{reflector::ObjectRef, watcher},
};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::{
    claim,
    context::{Context, Scope},
    news::{News, receive},
    queue::reconcile_all,
    role_claim,
    tasks::Tasks,
    watch::{self, Cache, Touched},
};

/// What is watched in one namespace, or in all.
pub(super) struct Caches {
    pub(super) claims: Watch<DatabaseClaim>,
    secrets: Watch<PartialObjectMeta<Secret>>,
    pub(super) role_claims: Watch<DbRoleClaim>,
    pub(super) copies: Watch<PartialObjectMeta<Secret>>,
}

/// A cache, and what moves it.
pub(super) type Watch<K> = (Cache<K>, Touched<K>);

impl Caches {
    pub(super) fn of(client: &Client, namespace: Option<&str>) -> Self {
        let all = watcher::Config::default();
        let secrets = || watch::scoped::<PartialObjectMeta<Secret>>(client, namespace);
        Self {
            claims: watch::cached(watch::scoped(client, namespace), all.clone()),
            secrets: watch::cached(secrets(), watch::published_secrets(ClaimKind::Claim)),
            role_claims: watch::cached(watch::scoped(client, namespace), all),
            copies: watch::cached(secrets(), watch::published_secrets(ClaimKind::RoleClaim)),
        }
    }
}

/// Starts the reconcilers of one namespace, or of all. Role claims hear of what is `shared`.
pub(super) fn start(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    caches: Caches,
    (news, shared): (&broadcast::Sender<News>, &broadcast::Sender<News>),
    token: &CancellationToken,
) -> Arc<Scope> {
    let Caches {
        claims: (claims, touched),
        secrets: (secrets, touched_secrets),
        role_claims: (role_claims, touched_role_claims),
        copies: (_, touched_copies),
    } = caches;
    let scope = Arc::new(Scope {
        context: Arc::clone(context),
        claims: claims.clone(),
        secrets,
    });
    let tell = teller(context, shared);
    let touched = touched.inspect_ok(move |claim| tell(Some(ObjectRef::from_obj(claim))));
    let (tell, known) = (teller(context, shared), claims.clone());
    let touched_secrets =
        touched_secrets.inspect_ok(move |secret| tell(watch::claim_of(secret, &known)));
    let requests = vec![
        watch::own(touched.boxed()),
        watch::of_secrets(touched_secrets.boxed(), claims.clone()),
        watch::all_on(receive(news.subscribe()), claims.clone(), News::concerns),
    ];
    tasks.spawn("the claim reconciler", {
        reconcile_all(
            claims,
            requests,
            claim::reconcile,
            Arc::clone(&scope),
            token.clone(),
        )
    });
    tasks.spawn("the role claim reconciler", {
        let heard = [shared.subscribe(), news.subscribe()]
            .map(|all| watch::all_on(receive(all), role_claims.clone(), News::concerns_role));
        let own = [
            watch::own(touched_role_claims),
            watch::of_secrets(touched_copies, role_claims.clone()),
        ];
        let requests = own.into_iter().chain(heard).collect();
        let context = Arc::clone(context);
        reconcile_all(
            role_claims,
            requests,
            role_claim::reconcile,
            context,
            token.clone(),
        )
    });
    scope
}

/// Tells role claims of a claim that one of them shares.
fn teller(
    context: &Arc<Context>,
    shared: &broadcast::Sender<News>,
) -> impl Fn(Option<ObjectRef<DatabaseClaim>>) + Send + 'static {
    let (context, shared) = (Arc::clone(context), shared.clone());
    move |claim| {
        if let Some(claim) = claim.filter(|claim| context.is_shared(claim)) {
            drop(shared.send(News::Claim(claim)));
        }
    }
}
