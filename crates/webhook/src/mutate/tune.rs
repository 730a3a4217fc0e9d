//! Step 2: the settings of this pod, which are the install's with the pod's annotations over them.

use api::names::pod as names;
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
