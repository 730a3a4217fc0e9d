//! DbRoleClaim: another team's access to the database of a claim.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    claim::{Binding, Inspection, RotationStatus, SecretTemplate, drift_policy},
    names,
};

/// Access to the database of another claim, with rights by schema.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "persistance.atlas.infoblox.com",
    version = "v1",
    kind = "DbRoleClaim",
    plural = "dbroleclaims",
    singular = "dbroleclaim",
    namespaced,
    status = "DbRoleClaimStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Access to the database of another claim, with rights by schema.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DbRoleClaimSpec {
    /// Which controller serves this claim. Unset and empty mean `default`.
    #[serde(default = "default_class", skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The claim that owns the database.
    pub source_database_claim: SourceDatabaseClaim,
    /// The Secret that is published in this claim's namespace. Unset means the role claim's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(r"self == '' || self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("secretName must be a valid Secret name: lower case letters, digits, '-' and '.'"))]
    #[schemars(length(max = 253))]
    pub secret_name: Option<String>,
    /// Additions to the published Secret. Unset, keys and files are those of the source claim; a
    /// copy of its Secret has those always, and of this labels, annotations and type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// Schema to role: `readonly`, `regular` or `admin`. With MongoDB database to role, and `read`
    /// and `readWrite` are other words for the first two. Unset copies the source claim's Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.all(schema, self[schema] in ['readonly', 'regular', 'admin', 'read', 'readWrite'])")
        .message("each role of schemarolemap must be one of readonly, regular, admin; with MongoDB also read, readWrite"))]
    #[schemars(length(max = 128))]
    #[serde(rename = "schemarolemap")]
    pub schema_role_map: Option<BTreeMap<String, String>>,
    /// For logins of its own: what becomes of changes that somebody made on the server by hand.
    /// `Repair` (default) undoes them, `Observe` only reports them. The published credential is
    /// always repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "drift_policy")]
    pub drift_policy: Option<String>,
}

/// The claim that owns the database.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SourceDatabaseClaim {
    #[schemars(length(max = 253))]
    pub name: String,
    #[serde(default = "default_namespace")]
    #[schemars(length(max = 63), required)]
    pub namespace: String,
}

/// What the controller last saw and did.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DbRoleClaimStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `namespace/name` of the source claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_source_claim: Option<String>,
    /// `namespace/name` of the source claim's Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_secret_resource_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub secret_updated_at: Option<Timestamp>,
    #[serde(
        rename = "schemasrolesupdatedat",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "date_time")]
    pub schemas_roles_updated_at: Option<Timestamp>,
    #[serde(
        rename = "schemasstatus",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub schemas_status: Option<SchemasStatus>,
    /// The current login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The Secret, for Service Binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Of the role claim's own logins; unset where it shares the source claim's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,
    /// Where its own logins are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<SharedDatabase>,
    /// The answer to the inspect annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Box<Inspection>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// The database in which a role claim has logins of its own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SharedDatabase {
    /// `host:port`, all of them.
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub name: String,
    /// The owner role of the source claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_role: Option<String>,
}

/// Schemas and roles that are in place; values are literally `valid`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SchemasStatus {
    #[serde(
        rename = "schemastatus",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub schema_status: BTreeMap<String, String>,
    #[serde(
        rename = "rolestatus",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub role_status: BTreeMap<String, String>,
}

impl DbRoleClaim {
    /// The class that serves this role claim.
    pub fn class(&self) -> &str {
        names::class_of(self.spec.class.as_deref())
    }

    /// Whether it has logins of its own, by what status says.
    pub fn has_logins(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.rotation.is_some())
    }

    /// Whether that claim is the one whose database this shares.
    pub fn shares(&self, namespace: &str, name: &str) -> bool {
        let source = &self.spec.source_database_claim;
        source.namespace == namespace && source.name == name
    }

    /// The Secret that is published: `spec.secretName`, or the role claim's own name.
    pub fn secret_name(&self) -> &str {
        let wished = self.spec.secret_name.as_deref();
        let own = || self.metadata.name.as_deref().unwrap_or_default();
        wished.filter(|name| !name.is_empty()).unwrap_or_else(own)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn default_class() -> Option<String> {
    Some(names::DEFAULT_CLASS.to_owned())
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn date_time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}
