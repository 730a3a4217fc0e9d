//! Labels of metrics come from closed lists: no DSN and no error text can become a series.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use engine::ErrorClass;
use secrecy::SecretString;
use serde_json::json;
use strum::IntoEnumIterator;
use testkit::env;

use crate::claims::owned_database;
use crate::support::{Stage, existing, own};

/// Labels whose values are names that people gave to things.
const NAMES: [&str; 9] = [
    "namespace",
    "app_id",
    "username",
    "server",
    "db_tye",
    "db_type",
    "db_version",
    "db_state",
    "migration_state",
];

/// Labels whose values are words of ours.
fn words() -> BTreeMap<&'static str, Vec<&'static str>> {
    let reasons = ErrorClass::iter().map(ErrorClass::reason);
    let reasons: Vec<_> = reasons
        .chain([
            "Provisioning",
            "Deleting",
            "Unavailable",
            "Observed",
            "NotRepairable",
        ])
        .collect();
    let controllers = vec!["databaseclaim", "databaseserver", "dbroleclaim"];
    BTreeMap::from([
        ("reason", reasons.clone()),
        ("error", reasons),
        ("controller", controllers.clone()),
        ("name", controllers),
        (
            "result",
            vec!["success", "error", "requeue", "requeue_after"],
        ),
        ("cause", vec!["live_sessions", "throttled"]),
        ("state", vec!["current", "behind"]),
        ("phase", vec!["switch", "settled"]),
        ("use_existing_source", vec!["true", "false"]),
    ])
}

/// Checks the labels of one sample; returns their names.
fn check(sample: &str) -> Result<Vec<String>> {
    let Some((_, labels)) = sample
        .rsplit_once('}')
        .and_then(|(head, _)| head.split_once('{'))
    else {
        return Ok(Vec::new());
    };
    let words = words();
    let mut seen = Vec::new();
    // No value that passes holds a comma or a quote.
    for label in labels.split(',') {
        let (name, value) = label
            .split_once('=')
            .with_context(|| format!("{sample}: no label"))?;
        let value = value.trim_matches('"');
        let is_name = |c: char| c.is_alphanumeric() || "-_./[]:".contains(c);
        let is_known = match words.get(name) {
            Some(words) => words.contains(&value),
            None if name == "le" => true,
            None => NAMES.contains(&name) && value.chars().all(is_name) && !value.contains("//"),
        };
        ensure!(is_known, "{sample}: {name} is {value:?}");
        seen.push(name.to_owned());
    }
    Ok(seen)
}

#[tokio::test]
async fn row_77_labels_of_metrics_come_from_a_closed_list() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("").await?;
        let good = owned_database(env).await?;
        stage.claim("good", existing(&own("clerk"), &good)).await?;
        stage.ready("good").await?;
        stage.rotate("good").await?;
        let weak = env.create_login("weak").await?;
        let wrong = env.postgres().dsn("nobody", SecretString::from("no"));
        let failing = [
            ("weak", existing(&own("clerk"), &weak), "Forbidden"),
            ("wrong", existing(&own("clerk"), &wrong), "Forbidden"),
            (
                "away",
                existing(&own("clerk"), &good.clone().port(1)),
                "Unavailable",
            ),
            (
                "lost",
                json!({ "userName": own("clerk"), "databaseName": "lost", "server": "no" }),
                "Blocked",
            ),
        ];
        for (name, spec, reason) in failing {
            stage.claim(name, spec).await?;
            stage.condition(name, Type::Ready, reason).await?;
        }
        let page = controller.metrics().await?;
        let mut seen = Vec::new();
        for sample in page.lines().filter(|line| !line.starts_with('#')) {
            seen.extend(check(sample)?);
        }
        for label in ["reason", "error", "username", "server"] {
            assert!(
                seen.iter().any(|name| name == label),
                "no sample has a label {label}"
            );
        }
        assert!(page.contains(r#"error="Forbidden""#) && page.contains(r#"error="Unavailable""#));
        Ok(())
    })
    .await
}

#[test]
fn row_77_a_dsn_or_a_sentence_as_label_is_noticed() {
    for sample in [
        r#"users_created_total{username="clerk",dburl="postgres://boss:secret@host/x"} 1"#,
        r#"users_created_total{username="postgres://boss:secret@host/x"} 1"#,
        r#"dbcontroller_error_state_claims{app_id="",error="password authentication failed"} 1"#,
        r#"users_create_errors_total{reason="no pg_hba.conf entry"} 1"#,
    ] {
        assert!(check(sample).is_err(), "{sample}");
    }
    let good = r#"users_create_errors_total{reason="Forbidden",username="clerk"} 1"#;
    assert!(check(good).is_ok());
}
