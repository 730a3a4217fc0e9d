//! Step 1: what the pod's labels ask for that is not there yet.

use api::names::pod as names;
use k8s_openapi::api::core::v1::Pod;

use super::Refusal;
use crate::settings::Settings;

/// What is to be injected; at least one of the two.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish<'a> {
    pub(super) claim: &'a str,
    pub(super) dbproxy: bool,
    /// The Secret with the configuration, if dsnexec is asked for.
    pub(super) dsnexec_config: Option<&'a str>,
}

/// Reads the labels. `None` for pods of another class, without a wish, or done already.
pub(super) fn read<'a>(
    pod: &'a Pod,
    ns: &str,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Option<Wish<'a>>, Refusal> {
    let label = |name| value(pod.metadata.labels.as_ref(), name);
    if label(names::CLASS) != Some(settings.class.as_str()) {
        return Ok(None);
    }
    let wants = |name, marker| label(name) == Some(names::ENABLED) && !is_done(pod, marker);
    let dbproxy = wants(names::DBPROXY, names::INJECTED_DBPROXY);
    let dsnexec = wants(names::DSNEXEC, names::INJECTED_DSNEXEC);
    let asking = match (dbproxy, dsnexec) {
        (true, _) => names::DBPROXY,
        (false, true) => names::DSNEXEC,
        (false, false) => return Ok(None),
    };
    if let Some(os) = foreign_system(pod) {
        return Err(Refusal::System { asking, os });
    }
    let claim = label(names::CLAIM).filter(|claim| !claim.is_empty());
    let claim = claim.ok_or_else(|| Refusal::NoClaim {
        asking,
        ns: ns.to_owned(),
    })?;
    let dsnexec_config = if dsnexec {
        Some(config(pod, warnings).ok_or(Refusal::NoConfig)?)
    } else {
        None
    };
    Ok(Some(Wish {
        claim,
        dbproxy,
        dsnexec_config,
    }))
}

/// The label names the Secret; the annotation does where the name is too long for a label.
fn config<'a>(pod: &'a Pod, warnings: &mut Vec<String>) -> Option<&'a str> {
    let name = names::DSNEXEC_CONFIG;
    let is_set = |config: &&str| !config.is_empty();
    let label = value(pod.metadata.labels.as_ref(), name).filter(is_set);
    let annotation = value(pod.metadata.annotations.as_ref(), name).filter(is_set);
    if let (Some(label), Some(annotation)) = (label, annotation)
        && label != annotation
    {
        warnings.push(format!(
            "label and annotation {name} differ: the label's {label} is used"
        ));
    }
    label.or(annotation)
}

fn is_done(pod: &Pod, marker: &str) -> bool {
    value(pod.metadata.annotations.as_ref(), marker) == Some(names::INJECTED)
}

fn foreign_system(pod: &Pod) -> Option<String> {
    let os = pod.spec.as_ref()?.os.as_ref()?;
    (os.name != "linux").then(|| os.name.clone())
}

fn value<'a>(
    map: Option<&'a std::collections::BTreeMap<String, String>>,
    name: &str,
) -> Option<&'a str> {
    map?.get(name).map(String::as_str)
}
