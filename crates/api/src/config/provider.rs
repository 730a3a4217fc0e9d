//! Keys for instances in a cloud. Kept typed and complete for the providers that make instances;
//! nothing here acts on them.

use strum::{Display, EnumIter, EnumString};

use super::reader::Reader;

/// Where instances are made, with the tags and sizes they get. Names of fields are those of the
/// keys, less `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub struct ProviderConfig {
    /// `providerConfig`: name of the Crossplane ProviderConfig.
    pub provider_config: String,
    /// `vpcSecurityGroupIDRefs` (AWS).
    pub vpc_security_group_id_refs: String,
    /// `dbSubnetGroupNameRef` (AWS).
    pub db_subnet_group_name_ref: String,
    /// `dbMultiAZEnabled`: a second instance (AWS), availability REGIONAL (GCP).
    pub db_multi_az_enabled: bool,
    /// `caCertificateIdentifier` (AWS).
    pub ca_certificate_identifier: String,
    /// `storageType` (AWS).
    pub storage_type: String,
    /// `backupRetentionDays` (AWS).
    pub backup_retention_days: u16,
    /// `enablePerfInsight` (AWS).
    pub enable_perf_insight: bool,
    /// `enableCloudwatchLogsExport` (AWS).
    pub enable_cloudwatch_logs_export: LogsExport,
    /// `defaultSkipFinalSnapshotBeforeDeletion` (AWS).
    pub skip_final_snapshot_before_deletion: bool,
    /// `defaultPubliclyAccessible` (AWS).
    pub publicly_accessible: bool,
    /// `defaultBackupPolicyValue`: value of the tag `Backup`.
    pub backup_policy: BackupPolicy,
    /// `project` (GCP).
    pub project: String,
    /// `network` (GCP).
    pub network: String,
    /// `subnetwork` (GCP).
    pub subnetwork: String,
    /// `numbackupstoretain` (GCP).
    pub backups_to_retain: u16,
    /// `defaultMinStorageGB`: for claims whose `minStorageGB` is 0.
    pub min_storage_gb: u32,
    /// `defaultMajorVersion`: engine version where a claim names none.
    pub major_version: String,
    /// `defaultShape`.
    pub shape: Option<String>,
    /// `defaultEngine`.
    pub engine: Option<String>,
    /// `defaultEngineVersion`.
    pub engine_version: Option<String>,
    /// `pgTemp`: directory for dump files.
    pub pg_temp: String,
}

/// A cloud that instances are made in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum Cloud {
    #[default]
    Aws,
    Gcp,
}

/// Which logs of an instance go to CloudWatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum LogsExport {
    All,
    #[default]
    None,
    Postgresql,
    Upgrade,
}

/// Backup policies of a cloud resource's tag `Backup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(ascii_case_insensitive)]
pub enum BackupPolicy {
    #[default]
    Bronze,
    Silver,
    Gold,
    Platinum,
}

/// What happens to a cloud resource when its claim goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum DeletionPolicy {
    Delete,
    #[default]
    Orphan,
}

/// Whether deleting a claim deletes the cloud objects that we made for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum ReclaimPolicy {
    Delete,
    #[default]
    Retain,
}

impl ProviderConfig {
    pub(super) fn read(from: &mut Reader, deletion: DeletionPolicy) -> Self {
        let logs = from.choice("enableCloudwatchLogsExport");
        let backup = from.choice("defaultBackupPolicyValue");
        Self {
            provider_config: text_or(from, "providerConfig", "default"),
            vpc_security_group_id_refs: text_or(from, "vpcSecurityGroupIDRefs", ""),
            db_subnet_group_name_ref: text_or(from, "dbSubnetGroupNameRef", ""),
            db_multi_az_enabled: is_set(from, "dbMultiAZEnabled"),
            ca_certificate_identifier: text_or(
                from,
                "caCertificateIdentifier",
                "rds-ca-rsa2048-g1",
            ),
            storage_type: text_or(from, "storageType", "gp3"),
            backup_retention_days: from
                .within("backupRetentionDays", 0..=u16::MAX)
                .unwrap_or(0),
            enable_perf_insight: is_set(from, "enablePerfInsight"),
            enable_cloudwatch_logs_export: logs.map(|given| given.value).unwrap_or_default(),
            skip_final_snapshot_before_deletion: skips_final_snapshot(from, deletion),
            publicly_accessible: is_set(from, "defaultPubliclyAccessible"),
            backup_policy: backup.map(|given| given.value).unwrap_or_default(),
            project: text_or(from, "project", ""),
            network: text_or(from, "network", ""),
            subnetwork: text_or(from, "subnetwork", ""),
            backups_to_retain: from.within("numbackupstoretain", 0..=u16::MAX).unwrap_or(3),
            min_storage_gb: from
                .within("defaultMinStorageGB", 1..=u32::MAX)
                .unwrap_or(50),
            major_version: text_or(from, "defaultMajorVersion", "15"),
            shape: from.nonempty("defaultShape").map(|given| given.value),
            engine: from.nonempty("defaultEngine").map(|given| given.value),
            engine_version: from
                .nonempty("defaultEngineVersion")
                .map(|given| given.value),
            pg_temp: text_or(from, "pgTemp", "/pg-temp/"),
        }
    }
}

fn skips_final_snapshot(from: &mut Reader, deletion: DeletionPolicy) -> bool {
    const KEY: &str = "defaultSkipFinalSnapshotBeforeDeletion";
    let Some(given) = from.flag(KEY) else {
        return false;
    };
    if given.value && deletion == DeletionPolicy::Delete {
        let message = "is true while defaultDeletionPolicy is delete: the data of a deleted claim \
                       is gone for good";
        from.warn(KEY, given.line, message);
    }
    given.value
}

fn is_set(from: &mut Reader, key: &'static str) -> bool {
    from.flag(key).is_some_and(|given| given.value)
}

fn text_or(from: &mut Reader, key: &'static str, default: &str) -> String {
    from.text(key).unwrap_or_else(|| default.to_owned())
}
