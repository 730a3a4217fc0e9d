//! What users write. Fields that hold one of a few words are plain strings here: the API server
//! checks them, and a stored object that breaks a newer rule must still be read.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::DatabaseClaimStatus;
use crate::server::AllowedNamespaces;

/// A database with an owner role, two logins that take turns, and a Secret with connection strings.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "persistance.atlas.infoblox.com",
    version = "v1",
    kind = "DatabaseClaim",
    plural = "databaseclaims",
    singular = "databaseclaim",
    shortname = "dbc",
    namespaced,
    status = "DatabaseClaimStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A database with an owner role, two logins that take turns, and a Secret with connection strings.",
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.type"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.activeDB.dbversion"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Synced","type":"string","jsonPath":".status.conditions[?(@.type==\"Synced\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","priority":1,"jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"MigrationState","type":"string","priority":1,"jsonPath":".status.migrationState"}"#,
    printcolumn = r#"{"name":"Login","type":"string","priority":1,"jsonPath":".status.rotation.currentLogin"}"#,
    printcolumn = r#"{"name":"Next Rotation","type":"string","priority":1,"jsonPath":".status.rotation.nextRotationAt"}"#,
    printcolumn = r#"{"name":"Consumers","type":"string","priority":1,"jsonPath":".status.consumers.summary"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.useExistingSource) && self.useExistingSource) || has(self.sourceDataFrom) || oldSelf.hasValue()")
        .message("useExistingSource is true, so sourceDataFrom must say where the database is")
        .optional_old_self(true),
    validation = Rule::new("!has(self.maxStorageGB) || !has(self.minStorageGB) || self.maxStorageGB > self.minStorageGB || (oldSelf.hasValue() && oldSelf.value().?maxStorageGB.orValue(0) == self.maxStorageGB && oldSelf.value().?minStorageGB.orValue(0) == self.minStorageGB)")
        .message("maxStorageGB must be greater than minStorageGB")
        .optional_old_self(true),
    validation = Rule::new("!has(oldSelf.maxStorageGB) || (has(self.maxStorageGB) && self.maxStorageGB >= oldSelf.maxStorageGB)")
        .message("maxStorageGB can't be made smaller or removed"),
    validation = Rule::new("!has(oldSelf.minStorageGB) || !has(self.minStorageGB) || self.minStorageGB >= oldSelf.minStorageGB")
        .message("minStorageGB can't be made smaller"),
    validation = Rule::new("(has(self.authDatabase) && self.authDatabase == 'PerDatabase') == (has(oldSelf.authDatabase) && oldSelf.authDatabase == 'PerDatabase')")
        .message("authDatabase can't be changed: make a new claim, and delete this one when nobody uses it any more")
)]
pub struct DatabaseClaimSpec {
    /// Which controller serves this claim: the one whose `--class` is equal. Unset and empty mean `default`.
    #[serde(default = "default_class", skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,

    /// An existing database, adopted in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_data_from: Option<SourceDataFrom>,

    /// Adopt the database of `sourceDataFrom`. True to false asks for a migration to a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_existing_source: Option<bool>,

    /// Free text, in logs and metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,

    /// Engine. Unset means `postgres`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self in ['postgres', 'aurora-postgresql', 'mongodb', '']")
        .message("type must be one of postgres, aurora-postgresql, mongodb"))]
    #[schemars(length(max = 64))]
    pub type_: Option<String>,

    /// For databases that a provider makes: what becomes of them when the claim is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "deletion_policy")]
    pub deletion_policy: Option<String>,

    /// For databases that a provider makes: how far storage may grow, in GB.
    #[serde(
        rename = "maxStorageGB",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub max_storage_gb: Option<i64>,

    /// The Secret that is published in the claim's namespace. Unset means the claim's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(r"self == '' || self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("secretName must be a valid Secret name: lower case letters, digits, '-' and '.'"))]
    #[schemars(length(max = 253))]
    pub secret_name: Option<String>,

    /// The owner role; its logins are `<userName>_a` and `<userName>_b`. At most 61 bytes.
    #[x_kube(validation = Rule::new("self != ''").message("userName must not be empty"))]
    #[x_kube(validation = Rule::new("size(self) <= 61")
        .message("userName is too long: the server keeps 63 bytes, and two are needed for the logins' suffix"))]
    #[schemars(length(max = 253))]
    pub user_name: String,

    /// The database to create. When adopting, the path of the DSN counts.
    #[x_kube(validation = Rule::new("self != ''").message("databaseName must not be empty"))]
    #[x_kube(validation = Rule::new("size(self) <= 63")
        .message("databaseName is too long: the server keeps 63 bytes"))]
    #[schemars(length(max = 253))]
    pub database_name: String,

    /// MongoDB: further databases that the same logins may use. `databaseName` is the one in the
    /// connection strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub databases: Option<Vec<String>>,

    /// MongoDB: what the logins may do. Unset means `readWrite` on each of the claim's databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub database_roles: Option<Vec<DatabaseRole>>,

    /// MongoDB: where the two logins are defined. `Dedicated` (default): in a database apart, once
    /// for all databases. `PerDatabase`: in each database of the claim, with one password, for
    /// clients that log in with `authSource=<database>`. Can't be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "auth_database")]
    pub auth_database: Option<String>,

    /// MongoDB: by which mechanisms the logins prove themselves. Unset means `SCRAM-SHA-256`;
    /// `SCRAM-SHA-1` is for servers and clients that know no better. A change counts from the next
    /// rotation on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "auth_mechanisms")]
    pub auth_mechanisms: Option<Vec<String>>,

    /// Namespaces whose DbRoleClaims may share this claim's database. Those of its own namespace may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_claim_namespaces: Option<AllowedNamespaces>,

    /// Engine version of a database that a provider makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_version: Option<String>,

    /// Deprecated. Another value than `dsn.txt` adds the keys `<dsnName>` and `uri_<dsnName>` to the Secret.
    #[serde(default = "default_dsn_name", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(r"self == '' || self.matches('^[-._a-zA-Z0-9]+$')")
        .message("dsnName must be a valid Secret key: letters, digits, '-', '_' and '.'"))]
    #[schemars(length(max = 240))]
    pub dsn_name: Option<String>,

    /// For databases that a provider makes: `<instance class>` or `<instance class>!<storage type>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,

    /// For databases that a provider makes: storage at creation, in GB.
    #[serde(
        rename = "minStorageGB",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub min_storage_gb: Option<i64>,

    /// For databases that a provider makes: how they are backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "backup_policy")]
    pub backup_policy: Option<String>,

    /// For databases that a provider makes: the snapshot to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<String>,

    /// Give both logins the right to replicate, where the server's policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_replication_role: Option<bool>,

    /// Make the owner role an administrator, where the server's policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_super_user: Option<bool>,

    /// For databases that a provider makes: tags on its resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,

    /// For databases that a provider makes: `ddd:hh24:mi-ddd:hh24:mi`, UTC, 30 minutes or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(r"self == '' || self.matches('^[A-Za-z]{3}:[0-2][0-9]:[0-5][0-9]-[A-Za-z]{3}:[0-2][0-9]:[0-5][0-9]$')")
        .message("preferredMaintenanceWindow must look like sun:04:00-sun:05:00 (UTC)"))]
    #[schemars(length(max = 64))]
    pub preferred_maintenance_window: Option<String>,

    /// The DatabaseServer, or the host block of the configuration, on which a new database is made.
    /// Unset: the only server that admits the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub server: Option<String>,

    /// When and how the credential is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationSpec>,

    /// What deleting the claim does to Secret, logins, owner role and a database that we made:
    /// `Retain` (default) keeps them, `Delete` removes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "reclaim_policy")]
    pub reclaim_policy: Option<String>,

    /// What becomes of changes that somebody made on the server by hand: `Repair` (default) undoes
    /// them, `Observe` only reports them. The published credential is always repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "drift_policy")]
    pub drift_policy: Option<String>,

    /// Additions to the published Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,

    /// Extensions to install where the server has them. Unset means the list of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub extensions: Option<Vec<String>>,
}

/// Where data comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'database' || has(self.database)")
    .message("sourceDataFrom.type is 'database', so sourceDataFrom.database must be set"))]
pub struct SourceDataFrom {
    #[serde(rename = "type")]
    #[x_kube(validation = Rule::new("self == 'database'")
        .message("sourceDataFrom.type must be 'database'"))]
    #[schemars(length(max = 64))]
    pub type_: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
}

/// A database that exists, with the admin's credential.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.dsn) && self.dsn != '') || has(self.secretRef)")
    .message("sourceDataFrom.database needs dsn, secretRef or both"))]
pub struct Database {
    /// `postgres://admin@host:port/database?sslmode=…`, best without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == '' || self.startsWith('postgres://') || self.startsWith('postgresql://') || self.startsWith('mongodb://') || self.startsWith('mongodb+srv://') || self.contains('=')")
        .message("dsn must be a URI such as postgres://admin@host:5432/database?sslmode=require"))]
    #[schemars(length(max = 4096))]
    pub dsn: Option<String>,
    /// The admin's credential: `uri_dsn.txt`, `dsn.txt`, or the parts as single keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// A role of MongoDB, built in or made by its administrator, on a database of the claim.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct DatabaseRole {
    /// For example `read`, `readWrite` or `dbOwner`.
    #[schemars(length(min = 1, max = 128))]
    pub role: String,
    /// `databaseName` or one of `databases`. Unset means each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub database: Option<String>,
}

/// A Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SecretRef {
    #[schemars(length(max = 253))]
    pub name: String,
    /// Unset means the claim's namespace; another one needs the consent of the Secret's owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// A tag on the resources of a provider.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// When and how a credential is replaced. Durations are minutes as plain numbers, or Go durations
/// such as `90s` and `1h30m`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RotationSpec {
    /// Time between two rotations. Unset means the period of the server or of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(DURATION_RULE).message("period must be a positive duration such as 60 (minutes), 90m or 24h"))]
    pub period: Option<IntOrString>,
    /// How long the previous login stays usable after a rotation. Unset means one period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(DURATION_RULE).message("overlap must be a positive duration such as 60 (minutes), 90m or 24h"))]
    pub overlap: Option<IntOrString>,
    /// How long live sessions may defer a rotation before they are ended. Unset means for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(DURATION_RULE).message("maxOverlap must be a positive duration such as 60 (minutes), 90m or 24h"))]
    pub max_overlap: Option<IntOrString>,
    /// Stops the timer and nothing else: repairs and `rotate now` go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// CEL for a duration as Go writes it, or a number of minutes; zero is refused.
pub(crate) const DURATION_RULE: &str = r"type(self) == int ? self > 0 : (size(self) < 32 && self.matches('^[0-9]+$|^([0-9]+([.][0-9]+)?(h|m|s|ms))+$') && self.matches('[1-9]'))";

/// Additions to the published Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SecretTemplate {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('app.kubernetes.io/managed-by'))")
        .message("the label app.kubernetes.io/managed-by is the controller's own"))]
    #[schemars(length(max = 32))]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('persistance.atlas.infoblox.com/'))")
        .message("annotations of persistance.atlas.infoblox.com are the controller's own"))]
    #[schemars(length(max = 32))]
    pub annotations: BTreeMap<String, String>,
    /// Keys of your own: texts with `{username}`, `{password}`, `{host}`, `{port}`, `{hosts}`,
    /// `{database}`, `{databases}`, `{sslmode}`, `{replicaSet}` and `{authSource}` in them, or
    /// percent-encoded, such as `{password:encoded}`. A brace itself is written twice.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 32))]
    pub data: BTreeMap<String, String>,
    /// Files that frameworks read, each as one more key: `dotenv` (`.env`), `spring`
    /// (`application.properties`), `django` (`django.json`) and `node` (`node.json`). `url`, `jdbc`,
    /// `libpq` and `pgpass` are published always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "formats")]
    pub formats: Vec<String>,
    /// The type of a Secret that is made. Unset means `Opaque`. Kubernetes lets no type be changed:
    /// another one counts from the next `secretName` on.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new(r"self == '' || self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$')")
            .message("secretTemplate.type must be a type of Secrets such as Opaque or servicebinding.io/postgresql"),
        validation = Rule::new("!self.matches('^([a-z0-9.]+[.])?kubernetes[.]io/') || self == 'kubernetes.io/basic-auth'")
            .message("secretTemplate.type: of Kubernetes' own types only kubernetes.io/basic-auth has the keys that are published")
    )]
    #[schemars(length(max = 317))]
    pub type_: Option<String>,
}

/// What `secretTemplate.formats` may name.
pub const FORMATS: [&str; 8] = [
    "url", "jdbc", "libpq", "pgpass", "dotenv", "spring", "django", "node",
];

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn default_class() -> Option<String> {
    Some(crate::names::DEFAULT_CLASS.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn default_dsn_name() -> Option<String> {
    Some(crate::names::secret_key::DSN.to_owned())
}

/// `authDatabase` of a claim whose databases each log it in.
pub const PER_DATABASE: &str = "PerDatabase";

fn words(words: &[&str]) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": words })
}

fn deletion_policy(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(&["Delete", "delete", "Orphan", "orphan"])
}

fn backup_policy(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(&["Bronze", "Silver", "Gold", "Platinum"])
}

fn auth_database(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(&["Dedicated", PER_DATABASE])
}

fn auth_mechanisms(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let items = words(&["SCRAM-SHA-256", "SCRAM-SHA-1"]);
    schemars::json_schema!({ "type": "array", "minItems": 1, "maxItems": 2, "items": items })
}

fn formats(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let items = words(&FORMATS);
    schemars::json_schema!({ "type": "array", "maxItems": 8, "items": items })
}

/// `driftPolicy` of a claim whose server is only looked at.
pub const OBSERVE: &str = "Observe";

pub(crate) fn drift_policy(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(&["Repair", OBSERVE])
}

fn reclaim_policy(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(&["Retain", "Delete"])
}
