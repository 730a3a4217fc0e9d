//! What differs between two configurations, or between one and the environment: names of keys
//! only. The original logged the whole file at each change.

use super::{Config, PasswordPolicy, Problem, ProviderConfig};
use crate::go_duration;

/// A key and its effective value as text, never shown.
struct Effective {
    key: &'static str,
    text: String,
    /// Whether the original had this key and so let the environment override it.
    is_old: bool,
}

impl Config {
    /// Keys whose values differ in `other`, for the log of a reload.
    pub fn changed_keys(&self, other: &Self) -> Vec<&'static str> {
        let pairs = effective(self).into_iter().zip(effective(other));
        pairs
            .filter(|(ours, theirs)| ours.text != theirs.text)
            .map(|(ours, _)| ours.key)
            .collect()
    }
}

/// Warns of each environment variable that the original would have used in place of a key's
/// value (`ENV` for `env`) and that differs from it. An empty variable counted as unset there.
pub fn environment_overrides(
    config: &Config,
    vars: impl Fn(&str) -> Option<String>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Effective { key, text, .. } in effective(config).into_iter().filter(|key| key.is_old) {
        let name = key.to_uppercase();
        if vars(&name).is_some_and(|value| !value.is_empty() && !is_same(&value, &text)) {
            let message = format!(
                "environment variable {name} is set and differs; it is not read any more, write \
                 the value into the file"
            );
            problems.push(Problem::new(key, None, message));
        }
    }
    problems
}

fn is_same(value: &str, text: &str) -> bool {
    let is_same_duration =
        || go_duration::parse(value).is_ok_and(|read| go_duration::parse(text) == Ok(read));
    value.eq_ignore_ascii_case(text) || is_same_duration()
}

fn old(key: &'static str, value: &impl ToString) -> Effective {
    Effective {
        key,
        text: value.to_string(),
        is_old: true,
    }
}

/// For values that only we read, or that no single variable can hold.
fn new(key: &'static str, value: &impl std::fmt::Debug) -> Effective {
    Effective {
        key,
        text: format!("{value:?}"),
        is_old: false,
    }
}

fn effective(config: &Config) -> Vec<Effective> {
    let Config {
        env,
        cloud,
        region,
        default_ssl_mode,
        default_master_port,
        default_master_username,
        default_deletion_policy,
        default_reclaim_policy,
        dynamic_host_wait,
        support_super_user_elevation,
        password,
        system_functions,
        servers,
        provider,
        drift_check_period,
        default_extensions,
        max_concurrent_reconciles,
        max_connections_per_server,
        admin_secret_namespaces,
        overlap,
        max_overlap,
    } = config;
    let PasswordPolicy {
        complexity,
        min_length,
        rotation_period,
    } = password;
    let mut all = vec![
        old("env", env),
        old("cloud", cloud),
        old("region", region),
        old("defaultSslMode", default_ssl_mode),
        old("defaultMasterPort", default_master_port),
        old("defaultMasterUsername", default_master_username),
        old("defaultDeletionPolicy", default_deletion_policy),
        old("defaultReclaimPolicy", default_reclaim_policy),
        old(
            "dynamicHostWaitTimeMin",
            &(dynamic_host_wait.as_secs() / 60),
        ),
        old("supportSuperUserElevation", support_super_user_elevation),
        old("passwordConfig.passwordComplexity", complexity),
        old("passwordConfig.minPasswordLength", min_length),
        old(
            "passwordConfig.passwordRotationPeriod",
            &go_duration::format(*rotation_period),
        ),
        new("systemFunctions", system_functions),
        new("host blocks", servers),
        new("driftCheckPeriod", drift_check_period),
        new("defaultExtensions", default_extensions),
        new("maxConcurrentReconciles", max_concurrent_reconciles),
        new("maxConnectionsPerServer", max_connections_per_server),
        new("adminSecretNamespaces", admin_secret_namespaces),
        new("overlap", overlap),
        new("maxOverlap", max_overlap),
    ];
    all.extend(effective_for_provider(provider));
    all
}

fn effective_for_provider(provider: &ProviderConfig) -> Vec<Effective> {
    let ProviderConfig {
        provider_config,
        vpc_security_group_id_refs,
        db_subnet_group_name_ref,
        db_multi_az_enabled,
        ca_certificate_identifier,
        storage_type,
        backup_retention_days,
        enable_perf_insight,
        enable_cloudwatch_logs_export,
        skip_final_snapshot_before_deletion,
        publicly_accessible,
        backup_policy,
        project,
        network,
        subnetwork,
        backups_to_retain,
        min_storage_gb,
        major_version,
        shape,
        engine,
        engine_version,
        pg_temp,
    } = provider;
    vec![
        old("providerConfig", provider_config),
        old("vpcSecurityGroupIDRefs", vpc_security_group_id_refs),
        old("dbSubnetGroupNameRef", db_subnet_group_name_ref),
        old("dbMultiAZEnabled", db_multi_az_enabled),
        old("caCertificateIdentifier", ca_certificate_identifier),
        old("storageType", storage_type),
        old("backupRetentionDays", backup_retention_days),
        old("enablePerfInsight", enable_perf_insight),
        old("enableCloudwatchLogsExport", enable_cloudwatch_logs_export),
        old(
            "defaultSkipFinalSnapshotBeforeDeletion",
            skip_final_snapshot_before_deletion,
        ),
        old("defaultPubliclyAccessible", publicly_accessible),
        old("defaultBackupPolicyValue", backup_policy),
        old("project", project),
        old("network", network),
        old("subnetwork", subnetwork),
        old("numbackupstoretain", backups_to_retain),
        old("defaultMinStorageGB", min_storage_gb),
        old("defaultMajorVersion", major_version),
        old("pgTemp", pg_temp),
        new("defaultShape", shape),
        new("defaultEngine", engine),
        new("defaultEngineVersion", engine_version),
    ]
}

/// All keys of the file; host blocks under one name.
#[cfg(test)]
pub(super) fn all_keys() -> Vec<&'static str> {
    effective(&Config::default())
        .into_iter()
        .map(|effective| effective.key)
        .collect()
}
