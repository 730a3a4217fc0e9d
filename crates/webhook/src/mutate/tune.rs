//! Step 2: the settings of this pod, which are the install's with the pod's annotations over them.

use api::names::{pod as names, secret_key};
use k8s_openapi::api::core::v1::Pod;

use super::{Refusal, wish::Wish};
use crate::settings::{Error, Settings};

/// Reads the annotations of the sidecars that are wished. Unknown ones become warnings.
pub(super) fn tuned(
    pod: &Pod,
    wish: &Wish<'_>,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Settings, Refusal> {
    let mut tuned = settings.clone();
    for (annotation, value) in pod.metadata.annotations.iter().flatten() {
        let outcome = if annotation == names::DSNEXEC_CONFIG {
            continue;
        } else if let Some(key) = annotation.strip_prefix(names::TUNE_DBPROXY) {
            wish.dbproxy.then(|| tuned.dbproxy.set(key, value))
        } else if let Some(key) = annotation.strip_prefix(names::TUNE_DSNEXEC) {
            let is_wished = wish.dsnexec_config.is_some();
            is_wished.then(|| tuned.dsnexec.set(key, value))
        } else {
            continue;
        };
        match outcome {
            None | Some(Ok(())) => {}
            Some(Err(Error::Unknown)) => warnings.push(format!(
                "annotation {annotation} is not known and has no effect"
            )),
            Some(Err(Error::Invalid { wanted })) => {
                return Err(Refusal::Setting {
                    annotation: annotation.clone(),
                    value: value.clone(),
                    wanted,
                });
            }
        }
    }
    Ok(tuned)
}

/// Settings of the proxy that only PgBouncer has.
const OF_PGBOUNCER: [&str; 3] = ["pool-mode", "pool-size", "max-clients"];

/// What is said of a pod whose claim turned out to be on MongoDB.
pub(super) fn for_mongo(
    pod: &Pod,
    tuned: &Settings,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let annotation = |key: &str| format!("{}{key}", names::TUNE_DBPROXY);
    if tuned.dbproxy.dsn_key == secret_key::READ_ONLY_URI_DSN {
        return Err(Refusal::Setting {
            annotation: annotation("dsn-key"),
            value: tuned.dbproxy.dsn_key.clone(),
            wanted: "dsn.txt, uri_dsn.txt or uri, as the claim is on MongoDB",
        });
    }
    let annotations = pod.metadata.annotations.as_ref();
    let is_set = |annotation: &String| annotations.is_some_and(|all| all.contains_key(annotation));
    let idle = OF_PGBOUNCER.map(annotation).into_iter().filter(is_set);
    warnings.extend(idle.map(|annotation| {
        format!("annotation {annotation} has no effect, as the claim is on MongoDB")
    }));
    Ok(())
}
