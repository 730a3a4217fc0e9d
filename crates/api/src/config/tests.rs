//! What files mean. What is wrong with them is in `malformed`.

mod malformed;

use std::collections::BTreeMap;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// The worked example of the compatibility reference.
const EXAMPLE: &str = r#"env: prod-1
cloud: aws
defaultMasterUsername: root
defaultSslMode: require
defaultReclaimPolicy: retain
dynamicHostWaitTimeMin: 1
passwordConfig:
  passwordComplexity: enabled
  minPasswordLength: "24"
  passwordRotationPeriod: "60"     # one hour
systemFunctions:
  ib_env: prod-1
atlas.recyclebin:
  username: root
  host: pg2.internal
  port: 5412
  sslMode: require
  passwordSecretRef: recyclebin-admin
"#;

fn parsed(text: &str) -> Parsed {
    Config::parse(text).unwrap_or_else(|problems| panic!("{text}\nwas refused: {problems:#?}"))
}

fn config(text: &str) -> Config {
    parsed(text).config
}

fn shown(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn row_88_the_worked_example_is_read_without_a_warning() {
    let Parsed { config, warnings } = parsed(EXAMPLE);
    assert_eq!(shown(&warnings), [""; 0]);
    assert_eq!(config.env, "prod-1");
    assert_eq!(config.default_ssl_mode, SslMode::Require);
    assert_eq!(config.default_reclaim_policy, ReclaimPolicy::Retain);
    assert_eq!(config.password.min_length, 24);
    assert_eq!(config.password.rotation_period, 60 * MINUTE);
    assert_eq!(
        config.system_functions,
        BTreeMap::from([("ib_env".into(), "prod-1".into())])
    );
    let server = HostBlock {
        username: "root".to_owned(),
        host: "pg2.internal".to_owned(),
        port: 5412,
        ssl_mode: SslMode::Require,
        password_secret_ref: "recyclebin-admin".to_owned(),
        password_secret_key: "password".to_owned(),
    };
    assert_eq!(
        config.server("ATLAS.RecycleBin"),
        Some(("atlas.recyclebin", &server))
    );
    assert_eq!(
        config.servers,
        BTreeMap::from([("atlas.recyclebin".to_owned(), server)])
    );
}

#[test]
fn row_88_an_empty_file_means_the_defaults() {
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "{}",
        "env:\npasswordConfig:\nsystemFunctions: ~\n",
    ] {
        assert_eq!(
            parsed(text),
            Parsed {
                config: Config::default(),
                warnings: Vec::new()
            }
        );
    }
    let config = Config::default();
    assert_eq!(config.password.complexity, Complexity::Enabled);
    assert_eq!(config.password.min_length, 15);
    assert_eq!(config.password.rotation_period, 60 * MINUTE);
    assert_eq!(config.dynamic_host_wait, MINUTE);
    assert_eq!(config.default_master_port, 5432);
    assert_eq!(config.default_reclaim_policy, ReclaimPolicy::Retain);
    assert_eq!(config.default_deletion_policy, DeletionPolicy::Orphan);
    assert!(!config.support_super_user_elevation, "absent is false");
    assert_eq!(config.drift_check_period, 10 * MINUTE);
    assert_eq!(config.default_extensions, DEFAULT_EXTENSIONS);
    assert_eq!(
        (
            config.max_concurrent_reconciles,
            config.max_connections_per_server
        ),
        (64, 8)
    );
    assert_eq!((config.overlap, config.max_overlap), (None, None));
}

#[test]
fn row_88_the_delivered_file_says_the_defaults_and_names_every_key() {
    let text = include_str!("../../../../config/config.yaml");
    let Parsed { config, warnings } = parsed(text);
    assert_eq!(shown(&warnings), [""; 0]);
    let chosen = ["env", "region"];
    assert_eq!(Config::default().changed_keys(&config), chosen);

    let uncommented = text
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line));
    let keys: Vec<&str> = uncommented
        .filter_map(|line| line.split_once(':'))
        .map(|p| p.0)
        .collect();
    for key in compare::all_keys() {
        let key = key.rsplit('.').next().unwrap();
        assert!(
            key == "host blocks" || keys.iter().any(|k| k.trim() == key),
            "{key}"
        );
    }
}

#[test]
fn row_88_keys_have_no_case_and_numbers_and_truths_may_be_quoted() {
    let text = r#"
ENV: 42
defaultmasterport: "6432"
DEFAULTSSLMODE: Verify-Full
SupportSuperUserElevation: "false"
PASSWORDCONFIG: {MINPASSWORDLENGTH: ' 20 ', passwordcomplexity: Disable}
SystemFunctions: {IB_Realm: eu}
dbMultiAZEnabled: "True"
enablePerfInsight: 1
"#;
    let config = config(text);
    assert_eq!(config.env, "42");
    assert_eq!(config.default_master_port, 6432);
    assert_eq!(config.default_ssl_mode, SslMode::VerifyFull);
    assert_eq!(config.password.min_length, 20);
    assert_eq!(config.password.complexity, Complexity::Disabled);
    assert_eq!(
        config.system_functions,
        BTreeMap::from([("ib_realm".into(), "eu".into())])
    );
    assert!(config.provider.db_multi_az_enabled && config.provider.enable_perf_insight);
}

#[test]
fn row_88_a_section_may_be_written_as_a_path() {
    let written = "passwordConfig.minPasswordLength: 30\nsystemFunctions.ib_env: x\n";
    let nested = "passwordConfig:\n  minPasswordLength: 30\nsystemFunctions:\n  ib_env: x\n";
    assert_eq!(config(written), config(nested));
}

#[test]
fn row_88_cloud_keys_are_kept() {
    let text = "
cloud: gcp
project: p1
network: n1
subnetwork: s1
numbackupstoretain: 7
providerConfig: pc
vpcSecurityGroupIDRefs: sg
dbSubnetGroupNameRef: sn
caCertificateIdentifier: ca
storageType: io1
backupRetentionDays: 8
enableCloudwatchLogsExport: upgrade
defaultPubliclyAccessible: true
defaultBackupPolicyValue: Gold
defaultMinStorageGB: 60
defaultMajorVersion: 16
defaultShape: db.r6g.large
defaultEngine: postgres
defaultEngineVersion: 16.4
defaultDeletionPolicy: delete
defaultSkipFinalSnapshotBeforeDeletion: false
pgTemp: /scratch
";
    let Parsed { config, warnings } = parsed(text);
    assert_eq!(shown(&warnings), [""; 0]);
    assert_eq!(config.cloud, Cloud::Gcp);
    let want = ProviderConfig {
        provider_config: "pc".to_owned(),
        vpc_security_group_id_refs: "sg".to_owned(),
        db_subnet_group_name_ref: "sn".to_owned(),
        db_multi_az_enabled: false,
        ca_certificate_identifier: "ca".to_owned(),
        storage_type: "io1".to_owned(),
        backup_retention_days: 8,
        enable_perf_insight: false,
        enable_cloudwatch_logs_export: LogsExport::Upgrade,
        skip_final_snapshot_before_deletion: false,
        publicly_accessible: true,
        backup_policy: BackupPolicy::Gold,
        project: "p1".to_owned(),
        network: "n1".to_owned(),
        subnetwork: "s1".to_owned(),
        backups_to_retain: 7,
        min_storage_gb: 60,
        major_version: "16".to_owned(),
        shape: Some("db.r6g.large".to_owned()),
        engine: Some("postgres".to_owned()),
        engine_version: Some("16.4".to_owned()),
        pg_temp: "/scratch".to_owned(),
    };
    assert_eq!(config.provider, want);
}

#[test]
fn row_88_host_blocks_take_defaults_and_addresses_of_both_kinds() {
    let text = "
six: {host: '[2001:db8::1]', passwordSecretRef: s, passwordSecretKey: pw, sslMode: verify-ca}
four: {host: 192.0.2.1, passwordSecretRef: s, username: boss, port: '5433'}
defaultMasterUsername: admin
defaultMasterPort: 6000
defaultSslMode: prefer
";
    let config = config(text);
    let (_, six) = config.server("six").unwrap();
    assert_eq!(
        (six.host.as_str(), six.port, six.username.as_str()),
        ("2001:db8::1", 6000, "admin")
    );
    assert_eq!(
        (six.ssl_mode, six.password_secret_key.as_str()),
        (SslMode::VerifyCa, "pw")
    );
    let (_, four) = config.server("four").unwrap();
    assert_eq!((four.port, four.username.as_str()), (5433, "boss"));
    assert_eq!(four.ssl_mode, SslMode::Prefer);
}

#[test]
fn host_blocks_may_share_values_by_merge_keys() {
    let text = "
one: &base {host: pg1, passwordSecretRef: shared, port: 5444}
two: {<<: *base, host: pg2}
";
    let config = config(text);
    assert_eq!(config.server("one").unwrap().1.host, "pg1");
    let (_, two) = config.server("two").unwrap();
    assert_eq!((two.host.as_str(), two.port), ("pg2", 5444));
}

#[test]
fn row_15_the_rotation_period_is_read_as_documented() {
    // What is written, the period in seconds, and a word of the warning.
    for (written, seconds, warning) in [
        ("60", 3_600, None),
        ("\"60\"", 3_600, None),
        ("'1440'", 86_400, None),
        ("60m", 3_600, None),
        ("1h", 3_600, None),
        ("1h30m", 5_400, None),
        ("24h", 86_400, None),
        ("~", 3_600, None),
        ("59", 3_600, Some("60 minutes are used")),
        ("\"5\"", 3_600, Some("60 minutes are used")),
        ("1441", 86_400, Some("1440 minutes are used")),
        ("90s", 90, Some("lose their login")),
        ("30m", 1_800, Some("used as written")),
        ("48h", 172_800, Some("used as written")),
    ] {
        let text = format!("env: x\npasswordConfig:\n  passwordRotationPeriod: {written}\n");
        let Parsed { config, warnings } = parsed(&text);
        assert_eq!(
            config.password.rotation_period,
            Duration::from_secs(seconds),
            "{written}"
        );
        let got = shown(&warnings).join("\n");
        match warning {
            None => assert_eq!(got, "", "{written}"),
            Some(words) => {
                assert!(
                    got.starts_with("line 3: passwordConfig.passwordRotationPeriod: is ")
                        && got.contains(words),
                    "{written}: {got}"
                );
            }
        }
    }
}

#[test]
fn our_own_durations_take_minutes_and_units() {
    let config = config("driftCheckPeriod: 5\noverlap: 3m\nmaxOverlap: \"120\"\n");
    assert_eq!(config.drift_check_period, 5 * MINUTE);
    assert_eq!(
        (config.overlap, config.max_overlap),
        (Some(3 * MINUTE), Some(120 * MINUTE))
    );
}

#[test]
fn extensions_are_listed_once_each_and_an_empty_list_means_none() {
    let listed = config("defaultExtensions: [hstore, citext, hstore]\n").default_extensions;
    assert_eq!(listed, ["hstore", "citext"]);
    assert_eq!(
        config("defaultExtensions: []\n").default_extensions,
        [""; 0]
    );
}

#[test]
fn row_88_a_reload_names_the_changed_keys_and_no_values() {
    let before = config(EXAMPLE);
    assert_eq!(before.changed_keys(&before), [""; 0]);
    let after = EXAMPLE
        .replace("\"24\"", "25")
        .replace("\"60\"", "2h")
        .replace("pg2.internal", "pg3.internal")
        .replace("ib_env: prod-1", "ib_env: prod-2")
        + "storageType: io1\noverlap: 10m\n";
    assert_eq!(
        before.changed_keys(&config(&after)),
        [
            "passwordConfig.minPasswordLength",
            "passwordConfig.passwordRotationPeriod",
            "systemFunctions",
            "host blocks",
            "overlap",
            "storageType",
        ]
    );
}

#[test]
fn row_88_an_environment_variable_that_differs_is_named_without_its_value() {
    let vars = BTreeMap::from([
        ("ENV", "prod-2"),
        ("CLOUD", "AWS"),
        ("REGION", ""),
        ("NETWORK", "my-net"),
        ("DYNAMICHOSTWAITTIMEMIN", "1"),
        ("PASSWORDCONFIG.PASSWORDROTATIONPERIOD", "60m"),
        ("OVERLAP", "9m"),
    ]);
    let lookup = |name: &str| vars.get(name).map(ToString::to_string);
    let problems = environment_overrides(&config(EXAMPLE), lookup);
    let keys: Vec<&str> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["env", "network"]);
    let text = shown(&problems).join("\n");
    assert!(
        text.contains("ENV") && !text.contains("prod-2") && !text.contains("my-net"),
        "{text}"
    );
}

#[test]
fn a_problem_is_shown_with_and_without_its_file() {
    let problem = Problem::new("passwordConfig.minPasswordLength", Some(12), "is 5");
    assert_eq!(
        problem.to_string(),
        "line 12: passwordConfig.minPasswordLength: is 5"
    );
    assert_eq!(
        problem.in_file("config.yaml").to_string(),
        "config.yaml: line 12: passwordConfig.minPasswordLength: is 5"
    );
    let problem = Problem::new("", Some(3), "not valid YAML").at_column(7);
    assert_eq!(problem.to_string(), "line 3, column 7: not valid YAML");
}
