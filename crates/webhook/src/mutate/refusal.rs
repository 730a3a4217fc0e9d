//! Why a pod is refused, each with what to change.

use api::names::pod as names;

/// The text is shown to who created the pod, or stands in the Events of its ReplicaSet or Job.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error(
        "label {asking} asks for a sidecar, but label {claim} is missing or empty: set it to the \
         name of a DatabaseClaim or DbRoleClaim in namespace {ns}",
        claim = names::CLAIM
    )]
    NoClaim { asking: &'static str, ns: String },

    /// Starts with the original's text.
    #[error(
        "unable to locate databaseclaim/dbroleclaim: namespace {ns} has no claim named {claim}; \
         create it before the pod, or correct label {label}",
        label = names::CLAIM
    )]
    UnknownClaim { ns: String, claim: String },

    #[error(
        "label {asking} asks for dsnexec, but its configuration is not named: set label or \
         annotation {config} to the name of a Secret in the pod's namespace",
        asking = names::DSNEXEC,
        config = names::DSNEXEC_CONFIG
    )]
    NoConfig,

    #[error("annotation {annotation} must be {wanted}, not '{value}': correct or remove it")]
    Setting {
        annotation: String,
        value: String,
        wanted: &'static str,
    },

    #[error(
        "hostNetwork would open the database to the whole node: remove hostNetwork from the pod, \
         or remove label {label} and use the claim's Secret directly",
        label = names::DBPROXY
    )]
    HostNetwork,

    #[error("sidecars run on Linux only: remove label {asking} from this {os} pod")]
    System { asking: &'static str, os: String },

    #[error(
        "port {port} is taken by container {container}, and {sidecar} listens on it: set \
         annotation {annotation} to a free port, or change the container's"
    )]
    PortTaken {
        port: u16,
        container: String,
        sidecar: String,
        annotation: String,
    },

    #[error(
        "the pod has a container named {name} already, which is the name of the sidecar: rename \
         the pod's own container"
    )]
    ContainerTaken { name: String },

    #[error(
        "the pod has another volume named {name}, which the sidecar {sidecar} needs: rename the \
         pod's own volume"
    )]
    VolumeTaken { name: String, sidecar: String },
}
