//! What the controller writes back. Nothing here is required: the original's objects are read, and
//! the first reconcile of a new one can fill only part of it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{inspection::Inspection, spec::SecretRef};

/// Values of `DbState`.
pub mod db_state {
    pub const READY: &str = "ready";
    pub const IN_PROGRESS: &str = "in-progress";
    pub const USING_EXISTING: &str = "using-existing-db";
}

/// What the controller last saw and did.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseClaimStatus {
    /// The last error in one sentence; empty after success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The database in use.
    #[serde(rename = "activeDB", default, skip_serializing_if = "Option::is_none")]
    pub active_db: Option<Status>,
    /// The database being built or migrated to.
    // Boxed, as the next one: rarely there, and a cache holds thousands of claims.
    #[serde(rename = "newDB", default, skip_serializing_if = "Option::is_none")]
    pub new_db: Option<Box<Status>>,
    /// The previous database, waiting for removal.
    #[serde(rename = "oldDB", default, skip_serializing_if = "Option::is_none")]
    pub old_db: Option<Box<OldStatus>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_state: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// The credential's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,
    /// The Secret, for Service Binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// The server on which the claim lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerStatus>,
    /// The pods that use the Secret through a proxy; unset where none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<ConsumersStatus>,
    /// The answer to the inspect annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Box<Inspection>>,
}

/// One database.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub db_create_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_info: Option<ConnectionInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub connection_updated_at: Option<Timestamp>,
    /// When the credential was last replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub user_updated_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbversion: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    #[serde(
        rename = "minStorageGB",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub min_storage_gb: Option<i64>,
    #[serde(
        rename = "maxStorageGB",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub max_storage_gb: Option<i64>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    #[serde(rename = "DbState", default, skip_serializing_if = "Option::is_none")]
    pub db_state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_data_from: Option<StoredSource>,
}

/// A previous database.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OldStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_info: Option<ConnectionInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbversion: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    #[serde(
        rename = "minStorageGB",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub min_storage_gb: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub post_migration_action_started_at: Option<Timestamp>,
    #[serde(rename = "DbState", default, skip_serializing_if = "Option::is_none")]
    pub db_state: Option<String>,
}

/// How the database is reached. The password has a place in the original's schema and is never written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionInfo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_name: Option<String>,
    /// The login in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<String>,
}

/// What was adopted: as in the spec, without a password, and with nothing required.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct StoredSource {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<StoredDatabase>,
}

#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StoredDatabase {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// The credential's life.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RotationStatus {
    /// How often the credential was replaced.
    #[serde(default)]
    pub generation: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_login: Option<String>,
    /// The login that was published before, while it can still log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_login: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub last_rotation_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub next_rotation_at: Option<Timestamp>,
    /// Since when live sessions have deferred the rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub deferred_since: Option<Timestamp>,
    /// The last value of the rotate annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_nonce: Option<String>,
    /// The version of the Secret that was last seen to authenticate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_resource_version: Option<String>,
    /// The newest revocation that is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

/// A credential that nobody can use any more.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Number of the credential; earlier ones are unusable too.
    #[serde(default)]
    pub generation: i64,
    /// The login that was shut; unset where another credential had taken its place already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Sessions of that login that were ended.
    #[serde(default)]
    pub sessions_ended: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub at: Option<Timestamp>,
}

/// `status.binding` of the Service Binding specification.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Binding {
    pub name: String,
}

/// The server on which the claim lives.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// The DatabaseServer or host block; unset for an adopted source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `host:port`, all of them.
    #[serde(default)]
    pub address: String,
    /// Whether the controller made the database, and so may remove it.
    #[serde(default)]
    pub database_created: bool,
    /// The owner role in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_role: Option<String>,
    /// Owner roles of earlier names whose logins wait to be retired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_owner_roles: Vec<String>,
    /// MongoDB: the databases in which the logins are defined, where that is each of the claim's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_databases: Vec<String>,
    /// MongoDB: fields of logins that this service does not take and the controller does without,
    /// such as `customData`, whose content then stands beside its locks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<String>,
}

/// Which pods already use the newest credential, by what their proxies said when last asked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConsumersStatus {
    /// Number of the credential that they were asked for.
    #[serde(default)]
    pub generation: i64,
    /// Pods that use it.
    #[serde(default)]
    pub current: i64,
    /// All pods.
    #[serde(default)]
    pub total: i64,
    /// Pods that use another one; at most ten are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lagging: Vec<String>,
    /// Pods that gave no answer; at most ten are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
    /// The counts in words, such as `3/4 on generation 12`.
    #[serde(default)]
    pub summary: String,
}

pub(super) fn date_time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}
