//! From a pod to the patch that gives it its sidecars: wish -> tune -> build -> check -> patch.
//!
//! Pure, and a second run over its own result changes nothing. The patch only adds, so fields of
//! newer clusters that this program does not know stay as they are.

mod build;
mod conflicts;
mod harden;
mod patch;
mod refusal;
mod tune;
mod wish;

use json_patch::Patch;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};

pub(crate) use patch::entries;
pub use refusal::Refusal;

use crate::{
    known::{Engine, Known, Published},
    settings::{Settings, UnknownClaim},
};

/// The answer for an admitted pod. Without operations in the patch the pod stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    pub patch: Patch,
    /// One sentence each, shown to who created the pod.
    pub warnings: Vec<String>,
}

/// One sidecar with everything that the pod needs for it.
#[derive(Debug, Clone, PartialEq)]
struct Sidecar {
    /// The annotation that says that it is there.
    marker: &'static str,
    volumes: Vec<Volume>,
    container: Container,
    ports: Vec<Port>,
}

/// A port that a sidecar listens on, and the annotation that moves it.
#[derive(Debug, Clone, PartialEq)]
struct Port {
    number: u16,
    annotation: String,
}

/// Decides about a pod that is being created in `ns`.
/// Errors: a [`Refusal`], whose text says what to change.
pub fn mutate(
    pod: &Pod,
    ns: &str,
    settings: &Settings,
    known: &dyn Known,
) -> Result<Change, Refusal> {
    let mut warnings = Vec::new();
    let Some(wish) = wish::read(pod, ns, settings, &mut warnings)? else {
        return Ok(Change {
            patch: Patch::default(),
            warnings,
        });
    };
    let tuned = tune::tuned(pod, &wish, settings, &mut warnings)?;
    let published = published(ns, wish.claim, settings.unknown_claim, known, &mut warnings)?;
    let mut sidecars = Vec::new();
    if wish.dbproxy {
        if published.engine == Engine::Mongo {
            tune::for_mongo(pod, &tuned, &mut warnings)?;
        }
        sidecars.push(build::dbproxy(&tuned, &published));
    }
    if let Some(config) = wish.dsnexec_config {
        sidecars.push(build::dsnexec(&tuned, &published.secret, config));
    }
    conflicts::check(pod, &sidecars)?;
    Ok(Change {
        patch: patch::of(pod, sidecars, settings.form),
        warnings,
    })
}

/// What the claim publishes.
fn published(
    ns: &str,
    claim: &str,
    unknown_claim: UnknownClaim,
    known: &dyn Known,
    warnings: &mut Vec<String>,
) -> Result<Published, Refusal> {
    if let Some(published) = known.published(ns, claim) {
        return Ok(published);
    }
    match unknown_claim {
        UnknownClaim::Refuse => Err(Refusal::UnknownClaim {
            ns: ns.to_owned(),
            claim: claim.to_owned(),
        }),
        UnknownClaim::Inject => {
            warnings.push(format!(
                "claim {claim} is not known in namespace {ns}: the pod waits for Secret {claim}"
            ));
            Ok(Published {
                secret: claim.to_owned(),
                engine: Engine::Postgres,
            })
        }
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
