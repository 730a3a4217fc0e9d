//! `/metrics`: open as the original's by default, closed on request, and with every series that the
//! dashboard and the alerts ask for.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{Api, DeleteParams, PostParams};
use kube::core::Request;
use kube::{Client, Config};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::controller::ControllerProcess;
use testkit::wait::wait_for;
use testkit::{TestEnv, env};

use super::helm::{Rendered, chart};
use crate::claims::owned_database;
use crate::support::{Stage, existing, own};

const SERIES: &str = "dbcontroller_leader 1";

/// Reads the metrics over TLS; the status of a refusal is in the error.
async fn read(controller: &ControllerProcess, token: Option<&str>) -> Result<Result<String, u16>> {
    let url = controller.metrics_url().replace("http://", "https://");
    let base = url.strip_suffix("/metrics").context("a path")?;
    let mut config = Config::new(base.parse()?);
    config.accept_invalid_certs = true;
    config.auth_info.token = token.map(SecretString::from);
    let mut request = Request::new("/metrics").get("any", &kube::api::GetParams::default())?;
    *request.uri_mut() = "/metrics".parse()?;
    match Client::try_from(config)?.request_text(request).await {
        Ok(page) => Ok(Ok(page)),
        Err(kube::Error::Api(status)) => Ok(Err(status.code)),
        Err(err) => bail!("{err}"),
    }
}

/// Makes a ServiceAccount and returns a token of it.
async fn token_of(env: &TestEnv, name: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(env.client(), env.namespace());
    let account = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    accounts.create(&PostParams::default(), &account).await?;
    let kubeconfig = env
        .cluster()
        .service_account_kubeconfig(env.namespace(), name)
        .await?;
    let tokens = kubeconfig
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "));
    tokens.map(ToOwned::to_owned).context("no token")
}

#[tokio::test]
async fn row_78_metrics_are_open_by_default() -> Result<()> {
    env(async |env| {
        let controller = env.controller("").await?;
        wait_for("the leader's metrics", async || {
            let page = controller.metrics().await?;
            ensure!(page.contains(SERIES), "{page}");
            Ok(Some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn row_78_secure_metrics_are_for_readers_that_rbac_allows() -> Result<()> {
    env(async |env| {
        let mut options = env.controller_options("").await?;
        options.kubeconfig = env.install_chart("metrics: {secure: true}").await?;
        options.args.push("--metrics-secure".to_owned());
        let controller = env.start_controller(options).await?;
        assert!(
            controller.metrics().await.is_err(),
            "plain HTTP is answered"
        );
        let stranger = token_of(env, "stranger").await?;
        let reader = token_of(env, "reader").await?;
        let refusals = [(None, 401), (Some("made up"), 401), (Some(&*stranger), 403)];
        for (token, status) in refusals {
            let answer = read(&controller, token).await?;
            assert_eq!(answer.err(), Some(status), "{token:?}");
        }
        let namespace = env.namespace();
        let binding = json!({
            "metadata": { "name": format!("{namespace}-reader") },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": format!("{namespace}-db-controller-metrics-reader"),
            },
            "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": namespace }],
        });
        let bindings: Api<ClusterRoleBinding> = Api::all(env.client());
        let binding = serde_json::from_value(binding)?;
        bindings.create(&PostParams::default(), &binding).await?;
        let outcome = wait_for("the reader to be let in", async || {
            let page = read(&controller, Some(&reader)).await?;
            let page = page.map_err(|status| anyhow::anyhow!("status {status}"))?;
            ensure!(page.contains(SERIES), "{page}");
            Ok(Some(()))
        })
        .await;
        assert_eq!(read(&controller, Some(&stranger)).await?.err(), Some(403));
        let name = binding.metadata.name.context("a name")?;
        bindings.delete(&name, &DeleteParams::default()).await?;
        outcome
    })
    .await
}

/// The series that an expression asks for: names that no label list, grouping or function call has.
fn series_of(expression: &str) -> BTreeSet<String> {
    let mut text = String::new();
    let mut depth = 0_usize;
    for character in expression.chars() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => text.push(character),
            _ => {}
        }
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_part(character));
    let names = words.filter(|word| word.contains('_') && *word != "histogram_quantile");
    let labels = ["db_version", "db_state"];
    names
        .filter(|name| !labels.contains(name))
        .map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned())
        .collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "expr" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// All series of the dashboard and of the alerts.
fn asked_for() -> Result<BTreeSet<String>> {
    let dashboard = std::fs::read_to_string(chart().join("files/dashboard.json"))?;
    let mut all = Vec::new();
    expressions(&serde_json::from_str(&dashboard)?, &mut all);
    let rules = Rendered::from("metrics: {rules: {enabled: true}}")?;
    expressions(&rules.only("PrometheusRule")?.data, &mut all);
    ensure!(all.len() > 20, "{} expressions", all.len());
    Ok(all
        .iter()
        .flat_map(|expression| series_of(expression))
        .collect())
}

/// Counted only once something of the kind has happened.
const RARE: [&str; 10] = [
    "users_create_errors_total",
    "users_update_errors_total",
    "users_deleted_errors_total",
    "password_rotate_errors_total",
    "database_provisioning_errors_total",
    "dbcontroller_rotations_deferred",
    "dbcontroller_drifted_claims",
    "dbcontroller_admin_contested",
    "dbcontroller_rotations_overdue",
    "dbcontroller_retired_credential_attempts_total",
];

#[tokio::test]
async fn row_78_dashboard_and_alerts_ask_for_series_that_exist() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let admin = owned_database(env).await?;
        stage.claim("shop", existing(&own("clerk"), &admin)).await?;
        stage.ready("shop").await?;
        stage.rotate("shop").await?;
        // One that fails, so that errors have a series.
        let nowhere = admin.clone().port(1);
        stage
            .claim("lost", existing(&own("clerk"), &nowhere))
            .await?;
        let unavailable = stage.condition("lost", api::conditions::Type::Ready, "Unavailable");
        unavailable.await?;
        let operations = testkit::assets::workspace().join("docs/operations.md");
        let operations = std::fs::read_to_string(operations)?;
        let asked = asked_for()?;
        wait_for("all series", async || {
            let page = controller.metrics().await?;
            let is_there = |name: &&String| {
                page.lines().any(|line| {
                    let type_ = line.strip_prefix("# TYPE ");
                    type_.and_then(|rest| rest.split(' ').next()) == Some(name.as_str())
                })
            };
            let missing: Vec<_> = asked
                .iter()
                .filter(|name| !is_there(name) && !RARE.contains(&name.as_str()))
                .collect();
            ensure!(missing.is_empty(), "missing: {missing:?}");
            Ok(Some(()))
        })
        .await?;
        let all = asked.iter().map(String::as_str).chain(RARE);
        let undocumented: Vec<_> = all
            .filter(|name| !is_documented(&operations, name))
            .collect();
        assert!(
            undocumented.is_empty(),
            "not in operations.md: {undocumented:?}"
        );
        Ok(())
    })
    .await
}

/// Whether a table of the document has the series; `…` stands for the beginning of the one before.
fn is_documented(document: &str, series: &str) -> bool {
    let rest = series.strip_prefix("controller_runtime_reconcile");
    let is_shortened = rest.is_some_and(|rest| document.contains(&format!("`…{rest}`")));
    document.contains(&format!("`{series}`")) || is_shortened
}
