//! The answer to the inspect annotation: who is logged in, and what the controller would do.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::status::date_time;

/// What was seen at one instant. Nothing keeps it up to date: ask again.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// The value of the inspect annotation that is answered.
    #[serde(default)]
    pub nonce: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub at: Option<Timestamp>,
    /// What the next pass does, in its order; at most fifty steps. Names only, never a password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
    /// Sessions of the claim's logins, by login and address; at most fifty groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionGroup>,
    /// All sessions, those of groups that are left out too.
    #[serde(default)]
    pub session_count: i64,
}

/// Sessions of one login from one address.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SessionGroup {
    #[serde(default)]
    pub login: String,
    #[serde(default)]
    pub count: i64,
    /// The client, as the server sees it; unset for a local socket, or where it is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The pod of the claim's namespace that has this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// What made the pod, such as `Deployment/till`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Where the pod runs, or the node whose address it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When the oldest of these sessions began; unset where the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub since: Option<Timestamp>,
}
