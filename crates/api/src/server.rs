//! DatabaseServer: a server that exists, and who may make databases on it. Ours, new.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::{
    apis::meta::v1::{Condition, LabelSelector},
    util::intstr::IntOrString,
};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::claim::{DURATION_RULE, RotationStatus};

/// A database server, its admin, and the namespaces that may use it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "persistance.atlas.infoblox.com",
    version = "v1",
    kind = "DatabaseServer",
    plural = "databaseservers",
    singular = "databaseserver",
    shortname = "dbs",
    status = "DatabaseServerStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A database server, its admin, and the namespaces that may use it.",
    printcolumn = r#"{"name":"Engine","type":"string","jsonPath":".spec.engine"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".spec.host"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Databases","type":"integer","jsonPath":".status.usage.databases"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Logins","type":"integer","jsonPath":".status.usage.logins"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseServerSpec {
    /// Engine.
    #[serde(default = "default_engine")]
    #[x_kube(validation = Rule::new("self in ['postgres', 'aurora-postgresql', 'mongodb']")
        .message("engine must be one of postgres, aurora-postgresql, mongodb"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("engine can't be changed"))]
    #[schemars(length(max = 64))]
    pub engine: String,
    /// Name or address, IPv6 without brackets. The server itself, not a transaction pooler: the
    /// controller holds session locks on it.
    #[x_kube(validation = Rule::new("self != '' && !self.contains('/') && !self.contains('@')")
        .message("host must be a name or an address, nothing else"))]
    #[schemars(length(max = 253))]
    pub host: String,
    /// Unset means 5432, for MongoDB 27017.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// How to speak TLS to the server. Unset means the configuration's `defaultSslMode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ssl_mode")]
    pub ssl_mode: Option<String>,
    /// The database that the admin connects to first. Unset means `postgres`; MongoDB needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub database: Option<String>,
    /// What only a MongoDB server has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongoServer>,
    /// The admin's credential. On PostgreSQL the admin needs CREATEROLE and CREATEDB, not to be a
    /// superuser; on MongoDB the role that the operations guide lists, not to be root.
    pub admin_secret_ref: AdminSecretRef,
    /// PEM certificates to trust, for `verify-ca` and `verify-full`; published with the DSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.contains('-----BEGIN CERTIFICATE-----')")
        .message("caBundle must be PEM text with at least one certificate"))]
    #[schemars(length(max = 262_144))]
    pub ca_bundle: Option<String>,
    /// Who may make databases here. Unset admits no namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// Bounds on what claims may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,
    /// What holds for claims that say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ServerDefaults>,
    /// Powers that claims of this server may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ServerPolicy>,
    /// Replaces the admin's credential by a timer. Unset leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_rotation: Option<AdminRotation>,
    /// Watching for logins with retired credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tripwire: Option<Tripwire>,
}

/// How the admin's credential is replaced: by two logins that take turns and act as the admin.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AdminRotation {
    /// Time between two replacements, as in a claim's `rotation`. Unset means 720h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(DURATION_RULE).message("period must be a positive duration such as 60 (minutes), 90m or 24h"))]
    pub period: Option<IntOrString>,
    /// Stops the timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// What only a MongoDB server has.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MongoServer {
    /// Name of the replica set; unset means a server that is none, or a router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub replica_set: Option<String>,
    /// Further members as `host` or `host:port`; clients find the rest by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 49), inner(length(min = 1, max = 260)))]
    pub members: Vec<String>,
    /// Where the admin's login is defined. Unset means `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub auth_source: Option<String>,
}

/// A Secret with the admin's login and password.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AdminSecretRef {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Unset means the controller's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    #[serde(default = "default_username_key")]
    pub username_key: String,
    #[serde(default = "default_password_key")]
    pub password_key: String,
}

/// Namespaces that a server or a claim admits: by name, by label, or all.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Bounds on what claims may take.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    /// Databases that claims may have on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_databases: Option<i64>,
    /// Databases that claims of one namespace may have on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_databases_per_namespace: Option<i64>,
    /// Logins that claims and role claims may have on this server, two each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_logins: Option<i64>,
    /// PostgreSQL: connections that one login may have open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_connections_per_login: Option<i32>,
    /// Rotations by timer or annotation that may begin within a minute; further ones wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_rotations_per_minute: Option<i32>,
    /// Connections that the controller may have open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub max_admin_connections: Option<i64>,
}

/// What holds for claims that say nothing. Durations as in a claim's `rotation`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerDefaults {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_period: Option<IntOrString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "reclaim_policy")]
    pub reclaim_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<String>>,
}

/// Powers that claims of this server may ask for; all off by default.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerPolicy {
    #[serde(default)]
    pub allow_super_user: bool,
    #[serde(default)]
    pub allow_replication: bool,
    /// Extensions that claims may list although only a superuser may create them. Extensions that
    /// PostgreSQL trusts, and those of `defaults` and of the configuration, need no mention.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub extensions: Vec<String>,
}

/// Watching for logins with retired credentials, by the server's log.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Tripwire {
    /// Off by default: the server must let the admin read of refused logins, as the operations
    /// guide says.
    #[serde(default)]
    pub enabled: bool,
    /// How long after a rotation a late login with the former password is counted apart and causes
    /// no Event. Unset means `2m`, which is what a kubelet needs to bring a Secret to its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(DURATION_RULE).message("grace must be a positive duration such as 5 (minutes), 90s or 2m"))]
    pub grace: Option<IntOrString>,
}

/// What the controller last saw.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseServerStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// The server's version, for example `16.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the admin can do here: `CreateRole`, `CreateDatabase`, `SuperUser`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// What claims have here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ServerUsage>,
    /// Where the admin's credential stands, once it is rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_secret: Option<RotatedAdmin>,
    /// The life of the admin's credential, once it is rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,
    /// The login of `adminSecretRef`, once nobody can log in with it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_login_shut: Option<String>,
    /// How far the server's log was read for refused logins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tripwire: Option<TripwireStatus>,
}

/// The Secret with an admin's credential that is rotated.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RotatedAdmin {
    #[serde(default)]
    pub namespace: String,
    #[serde(default)]
    pub name: String,
    /// Name of the Secret in `adminSecretRef` with whose login it began: a server that names
    /// another one has another admin.
    #[serde(default)]
    pub began_with: String,
}

/// How far a server's log was read. Written when something was found, else hourly.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TripwireStatus {
    /// Where a controller that starts goes on: a file of the log with an offset, or the time up to
    /// which the log of each member was read.
    #[serde(default)]
    pub position: String,
    /// When this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub at: Option<Timestamp>,
    /// The newest attempt on a claim's login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub last_attempt_at: Option<Timestamp>,
}

/// What claims have on a server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServerUsage {
    /// Claims that have a database here.
    #[serde(default)]
    pub databases: i64,
    /// Logins of claims, and of role claims that have logins of their own.
    #[serde(default)]
    pub logins: i64,
}

fn default_engine() -> String {
    "postgres".to_owned()
}

fn default_username_key() -> String {
    crate::names::secret_key::USERNAME.to_owned()
}

fn default_password_key() -> String {
    crate::names::secret_key::PASSWORD.to_owned()
}

fn ssl_mode(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
    })
}

fn date_time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}

fn reclaim_policy(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": ["Retain", "Delete"] })
}
