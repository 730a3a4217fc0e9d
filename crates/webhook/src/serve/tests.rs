//! The router itself, without a network: every body gets an answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{BODY_LIMIT, Webhook, router};
use crate::{
    known::{Engine, Known, Published},
    metrics::Reviews,
    settings::Settings,
};

const MUTATE: &str = "/mutate--v1-pod";
const GUARD: &str = "/validate-persistance-atlas-infoblox-com-v1-databaseclaim";

struct Store;

impl Known for Store {
    fn published(&self, _ns: &str, claim: &str) -> Option<Published> {
        let secret = "orders-dsn".to_owned();
        (claim == "shop").then_some(Published {
            secret,
            engine: Engine::Postgres,
        })
    }

    fn claim_of(&self, _ns: &str, _secret: &str) -> Option<String> {
        None
    }

    fn is_terminating(&self, ns: &str) -> bool {
        ns == "leaving"
    }
}

/// Hears of every claim when it was asked for it once.
#[derive(Default)]
struct Late {
    heard: AtomicBool,
    news: watch::Sender<()>,
}

impl Known for Late {
    fn published(&self, ns: &str, claim: &str) -> Option<Published> {
        let is_known = self.heard.swap(true, Ordering::Relaxed);
        if !is_known {
            self.news.send_replace(());
        }
        Store.published(ns, claim).filter(|_| is_known)
    }

    fn claim_of(&self, _ns: &str, _secret: &str) -> Option<String> {
        None
    }

    fn is_terminating(&self, _ns: &str) -> bool {
        false
    }

    fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

/// The `response` of the answer to `body`.
async fn ask(path: &str, body: impl Into<Body>) -> Value {
    ask_of(Arc::new(Store), path, body).await
}

async fn ask_of(known: Arc<dyn Known>, path: &str, body: impl Into<Body>) -> Value {
    let webhook = Webhook {
        settings: Arc::new(Settings::new("blue", "proxy:1", "exec:1")),
        known,
        reviews: Reviews::new().unwrap(),
    };
    let request = Request::post(path).body(body.into()).unwrap();
    let answer = router(webhook).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let bytes = to_bytes(answer.into_body(), BODY_LIMIT).await.unwrap();
    let mut review: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    review["response"].take()
}

fn review(operation: &str, kind: &str, request: &Value) -> Value {
    let mut full = json!({
        "uid": "u1",
        "kind": {"group": "", "version": "v1", "kind": kind},
        "resource": {"group": "", "version": "v1", "resource": "any"},
        "name": "shop",
        "namespace": "store",
        "operation": operation,
        "userInfo": {"username": "jane"},
        "dryRun": true,
        "object": null,
        "oldObject": null,
    });
    json_patch::merge(&mut full, request);
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": full})
}

fn pod(claim: &str) -> Value {
    json!({"object": {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "till-", "labels": {
            "persistance.atlas.infoblox.com/claim": claim,
            "persistance.atlas.infoblox.com/class": "blue",
            "persistance.atlas.infoblox.com/dbproxy": "enabled",
        }},
        "spec": {"containers": [{"name": "till", "image": "till:3"}]},
    }})
}

#[tokio::test]
async fn row_53_a_created_pod_is_answered_with_a_patch() {
    let response = ask(MUTATE, review("CREATE", "Pod", &pod("shop")).to_string()).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(response["uid"], "u1");
    assert_eq!(response["patchType"], "JSONPatch");
    assert!(response["patch"].is_string() || response["patch"].is_array());
}

#[tokio::test]
async fn row_55_an_update_and_a_subresource_pass_unchanged() {
    for review in [
        review("UPDATE", "Pod", &pod("gone")),
        review(
            "CREATE",
            "Pod",
            &json!({"subResource": "binding", "object": pod("gone")["object"]}),
        ),
    ] {
        let response = ask(MUTATE, review.to_string()).await;
        assert_eq!(response["allowed"], true);
        assert_eq!(response["patch"], Value::Null);
    }
}

#[tokio::test]
async fn row_55_a_refusal_carries_its_sentence_and_403() {
    let response = ask(MUTATE, review("CREATE", "Pod", &pod("gone")).to_string()).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 403);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("no claim named gone"), "{message}");
}

#[tokio::test]
async fn a_claim_may_become_known_while_its_pod_waits() {
    let review = |claim| review("CREATE", "Pod", &pod(claim)).to_string();
    let late = || Arc::new(Late::default());
    let response = ask_of(late(), MUTATE, review("shop")).await;
    assert_eq!(response["allowed"], true);
    let response = ask_of(late(), MUTATE, review("gone")).await;
    assert_eq!(response["allowed"], false);
}

#[tokio::test]
async fn row_43_deletions_are_guarded_outside_terminating_namespaces() {
    let object = json!({
        "apiVersion": "persistance.atlas.infoblox.com/v1",
        "kind": "DatabaseClaim",
        "metadata": {"name": "shop"},
    });
    let plain = json!({"oldObject": object});
    let response = ask(GUARD, review("DELETE", "DatabaseClaim", &plain).to_string()).await;
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("deletion is denied for DatabaseClaim 'shop'; set label"));
    let label = json!({"persistance.atlas.infoblox.com/allow-deletion": "enabled"});
    for change in [
        json!({"namespace": "leaving"}),
        json!({"operation": "UPDATE"}),
        json!({"oldObject": {"metadata": {"labels": label}}}),
        json!({"oldObject": {"metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}}}),
    ] {
        let mut request = json!({"oldObject": object});
        json_patch::merge(&mut request, &change);
        let review = review("DELETE", "DatabaseClaim", &request);
        let response = ask(GUARD, review.to_string()).await;
        assert_eq!(response["allowed"], true, "{change}");
    }
}

#[tokio::test]
async fn row_55_what_cannot_be_read_is_refused_under_its_own_uid() {
    let mut old = review("CREATE", "Pod", &pod("shop"));
    old["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let mut odd = review("CREATE", "Pod", &pod("shop"));
    odd["request"]["object"]["spec"]["containers"] = json!("none");
    for (body, uid) in [
        (String::new(), ""),
        ("no json".to_owned(), ""),
        ("{\"request\": {\"uid\": \"u2\"}}".to_owned(), "u2"),
        (old.to_string(), "u1"),
        (odd.to_string(), "u1"),
        (" ".repeat(BODY_LIMIT + 1), ""),
    ] {
        let response = ask(MUTATE, body).await;
        assert_eq!(response["allowed"], false);
        assert_eq!(response["uid"], uid);
        assert_eq!(response["status"]["code"], 400);
    }
}

#[tokio::test]
async fn row_53_a_large_pod_is_no_trouble() {
    let mut large = pod("shop");
    let env: Vec<_> = (0..20_000)
        .map(|number| json!({"name": format!("V{number}"), "value": "x".repeat(40)}))
        .collect();
    large["object"]["spec"]["containers"][0]["env"] = json!(env);
    let response = ask(MUTATE, review("CREATE", "Pod", &large).to_string()).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patchType"], "JSONPatch");
}
