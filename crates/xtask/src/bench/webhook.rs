//! What the webhook takes for an answer, and what it adds to the creation of a pod.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api::claim::DatabaseClaim;
use api::names::webhook_path::MUTATE_POD;
use api::names::{GROUP, pod as names};
use http::Request;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, PostParams};
use kube::{Client, Config};
use serde_json::{Value, json};
use testkit::pki::Authority;
use testkit::process::{Workdir, free_port, write_private};
use testkit::wait::wait_for;

use super::report::{Aim, Figure, Report, float, percentile};
use super::stage::{HOME, Logging, NAMESPACE, Stage};
use super::{Effort, say};

/// Who ask the webhook at once.
const CLIENTS: usize = 32;

pub(super) async fn run(effort: Effort) -> Result<Report> {
    let mut report = Report::new("webhook", effort);
    let mut stage = Stage::start(Logging::Off).await?;
    let (workdir, port) = (Workdir::new("webhook")?, free_port()?);
    let authority = Authority::new("webhook")?;
    let leaf = authority.issue(&["127.0.0.1", "localhost"])?;
    write_private(&workdir.join("tls.crt"), &leaf.certificate)?;
    write_private(&workdir.join("tls.key"), &leaf.key)?;
    stage.add_webhook(port, &workdir.join(""));
    account(&stage.client).await?;
    claim(&stage.client).await?;
    stage.start_controller().await?;
    register(&stage.client, port, &authority.pem()).await?;

    let creations = if effort.is_quick { 20 } else { 500 };
    added(&stage.client, creations, &mut report).await?;
    let reviews = if effort.is_quick { 200 } else { 40_000 };
    answered(&stage, port, &authority, reviews, &mut report).await?;
    stage.stop().await?;
    Ok(report)
}

/// What pods run under; nobody else makes it where no controllers run.
async fn account(client: &Client) -> Result<()> {
    let account = serde_json::from_value(json!({ "metadata": { "name": "default" } }))?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), NAMESPACE);
    accounts.create(&PostParams::default(), &account).await?;
    Ok(())
}

/// A claim for the pods' labels. Its server does not exist: nobody needs its database.
async fn claim(client: &Client) -> Result<()> {
    let spec = json!({
        "class": "default", "userName": "clerk", "databaseName": "orders", "server": "none",
    });
    let claim = serde_json::from_value(json!({ "metadata": { "name": "shop" }, "spec": spec }))?;
    let claims = Api::<DatabaseClaim>::namespaced(client.clone(), NAMESPACE);
    claims.create(&PostParams::default(), &claim).await?;
    Ok(())
}

/// As the chart registers it, for an address instead of a Service.
async fn register(client: &Client, port: u16, authority: &str) -> Result<()> {
    let hook = |name: &str, label: &str, marker: &str| {
        let is_new = format!(
            "!has(object.metadata.annotations) || !('{marker}' in object.metadata.annotations)"
        );
        json!({
            "name": format!("{name}.{GROUP}"),
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}{MUTATE_POD}"),
                "caBundle": ByteString(authority.as_bytes().to_vec()),
            },
            "rules": [{
                "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods"],
            }],
            "objectSelector": { "matchLabels": { label: names::ENABLED } },
            "matchConditions": [{ "name": "not-injected", "expression": is_new }],
            "reinvocationPolicy": "IfNeeded",
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        })
    };
    let hooks = [
        hook("dbproxy", names::DBPROXY, names::INJECTED_DBPROXY),
        hook("dsnexec", names::DSNEXEC, names::INJECTED_DSNEXEC),
    ];
    let configuration: MutatingWebhookConfiguration =
        serde_json::from_value(json!({ "metadata": { "name": HOME }, "webhooks": hooks }))?;
    let all = Api::all(client.clone());
    all.create(&PostParams::default(), &configuration).await?;
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    let (dry, probe) = (dry_run(), serde_json::from_value(pod(&[names::DBPROXY]))?);
    wait_for("the registration to be known", async || {
        let made = pods.create(&dry, &probe).await?;
        let spec = made.spec.context("a pod without spec")?;
        Ok(spec.init_containers.map(drop))
    })
    .await
}

fn pod(sidecars: &[&str]) -> Value {
    let named = [
        (names::CLAIM, "shop"),
        (names::CLASS, "default"),
        (names::DSNEXEC_CONFIG, "statements"),
    ];
    let enabled = sidecars.iter().map(|label| (*label, names::ENABLED));
    let labels: BTreeMap<_, _> = named.into_iter().chain(enabled).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": "till-", "labels": labels },
        "spec": { "containers": [{ "name": "till", "image": "till:3" }] },
    })
}

fn dry_run() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// Pods without and with sidecars take turns, so that whatever slows the machine slows all alike.
async fn added(client: &Client, creations: usize, report: &mut Report) -> Result<()> {
    let kinds: [(&[&str], &str); 3] = [
        (&[], "no sidecar"),
        (&[names::DBPROXY], "dbproxy"),
        (&[names::DBPROXY, names::DSNEXEC], "dbproxy and dsnexec"),
    ];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..creations {
        for ((sidecars, _), times) in kinds.iter().zip(&mut times) {
            // Text in and out: what this client would do with objects is not measured.
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
            let request = Request::post(path)
                .header("content-type", "application/json")
                .body(serde_json::to_vec(&pod(sidecars))?)?;
            let started = Instant::now();
            client.request_text(request).await?;
            times.push(milliseconds(started.elapsed()));
        }
    }
    let [none, one, both] = times.each_ref().map(|times| percentile(times, 50));
    for ((_, name), times) in kinds.iter().zip(&times) {
        for percent in [50, 99] {
            let what = format!("create a pod, {name}: p{percent}");
            let value = percentile(times, percent);
            report.figures.push(Figure::new(what, "ms", value));
        }
    }
    let figure = |what, value| Figure::new(what, "ms", value);
    report.figures.extend([
        figure("added by dbproxy, p50", one - none)
            .original(1.5)
            .aim(Aim::AtMost(0.8)),
        figure("added by both, p50", both - none)
            .original(4.6)
            .aim(Aim::AtMost(1.0)),
    ]);
    let call = mean_call(client).await?;
    let what = "one call, mean, as the API server sees it";
    report.figures.push(figure(what, call).original(1.4));
    say(&format!("{creations} creations of each kind"));
    Ok(())
}

/// From the API server's own metrics, in milliseconds.
async fn mean_call(client: &Client) -> Result<f64> {
    let page = client
        .request_text(Request::get("/metrics").body(Vec::new())?)
        .await?;
    let total = |series: &str| -> f64 {
        let prefix = format!("apiserver_admission_webhook_admission_duration_seconds_{series}{{");
        let lines = page.lines().filter(|line| line.starts_with(&prefix));
        let ours = lines.filter(|line| line.contains(GROUP));
        let values = ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    };
    Ok(total("sum") / total("count") * 1000.0)
}

/// Asks the webhook itself, over TLS, by several clients at once.
async fn answered(
    stage: &Stage,
    port: u16,
    authority: &Authority,
    reviews: usize,
    report: &mut Report,
) -> Result<()> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "userInfo": {},
            "object": pod(&[names::DBPROXY]),
            "oldObject": null,
            "dryRun": false,
            "options": null,
        },
    });
    let body = serde_json::to_vec(&review)?;
    let before = Buckets::read(&stage.metrics().await?);
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let (url, root) = (format!("https://127.0.0.1:{port}"), authority.der());
        ask(url, root, body.clone(), reviews / CLIENTS)
    });
    let times = futures::future::try_join_all(clients).await?.concat();
    let elapsed = started.elapsed().as_secs_f64();
    let served = Buckets::read(&stage.metrics().await?).since(&before);
    ensure!(served.count() >= float(times.len()), "reviews are missing");
    let figure = |what: String, value| Figure::new(what, "ms", value);
    let name = format!("{CLIENTS} clients over TLS");
    report.figures.extend([
        Figure::new(
            format!("{name}: reviews"),
            "1/s",
            float(times.len()) / elapsed,
        ),
        figure(
            format!("{name}: at most, p50, in the server"),
            served.percentile(0.5),
        ),
        figure(
            format!("{name}: at most, p99, in the server"),
            served.percentile(0.99),
        )
        .aim(Aim::AtMost(2.0)),
        figure(
            format!("{name}: p50, seen by the client"),
            percentile(&times, 50),
        ),
        figure(
            format!("{name}: p99, seen by the client"),
            percentile(&times, 99),
        ),
    ]);
    report.notes.push(
        "in the server: the bucket of the webhook's own histogram, from whole review to answer"
            .to_owned(),
    );
    Ok(())
}

/// One client with one connection; returns the time of each answer in milliseconds.
async fn ask(url: String, root: Vec<u8>, body: Vec<u8>, reviews: usize) -> Result<Vec<f64>> {
    let mut config = Config::new(url.parse()?);
    config.root_cert = Some(vec![root]);
    let client = Client::try_from(config)?;
    let mut times = Vec::with_capacity(reviews);
    for _ in 0..reviews {
        let request = Request::post(MUTATE_POD)
            .header("content-type", "application/json")
            .body(body.clone())?;
        let started = Instant::now();
        let answer: Value = client.request(request).await?;
        times.push(milliseconds(started.elapsed()));
        let allowed = answer.pointer("/response/allowed").and_then(Value::as_bool);
        ensure!(allowed == Some(true), "refused: {answer}");
    }
    Ok(times)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The webhook's histogram: upper bounds in seconds, with how many were at most so long.
struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    fn read(page: &str) -> Self {
        let series = "dbcontroller_webhook_review_seconds_bucket{about=\"injection\",\
                      answer=\"admitted\",le=\"";
        let buckets = page.lines().filter_map(|line| {
            let (bound, count) = line.strip_prefix(series)?.split_once("\"} ")?;
            let bound = bound.replace("+Inf", "inf");
            Some((bound.parse().ok()?, count.parse().ok()?))
        });
        Self(buckets.collect())
    }

    fn since(&self, before: &Self) -> Self {
        let earlier = |bound: f64| {
            let found = before
                .0
                .iter()
                .find(|(other, _)| other.total_cmp(&bound).is_eq());
            found.map_or(0.0, |(_, count)| *count)
        };
        let buckets = self.0.iter();
        Self(
            buckets
                .map(|(bound, count)| (*bound, count - earlier(*bound)))
                .collect(),
        )
    }

    fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The upper bound, in milliseconds, of the bucket in which that part of all lies.
    fn percentile(&self, part: f64) -> f64 {
        let wanted = self.count() * part;
        let found = self.0.iter().find(|(_, count)| *count >= wanted);
        found.map_or(0.0, |(bound, _)| bound * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_bounds_of_their_buckets() {
        let page = |counts: [u32; 3]| {
            let bounds = ["0.001", "0.002", "+Inf"];
            let lines = bounds.iter().zip(counts).map(|(bound, count)| {
                format!(
                    "dbcontroller_webhook_review_seconds_bucket{{about=\"injection\",\
                     answer=\"admitted\",le=\"{bound}\"}} {count}\n"
                )
            });
            lines.collect::<String>()
        };
        let before = Buckets::read(&page([5, 5, 5]));
        let served = Buckets::read(&page([95, 105, 105])).since(&before);
        assert!((served.count() - 100.0).abs() < 1e-9);
        assert!((served.percentile(0.5) - 1.0).abs() < 1e-9);
        assert!((served.percentile(0.99) - 2.0).abs() < 1e-9);
    }
}
