//! Files that are refused or warned of: each names the key and the line.

use super::*;

/// Key, line, and words of the message.
type Want<'a> = (&'a str, usize, &'a str);

fn check(text: &str, problems: &[Problem], want: &[Want<'_>]) {
    let got: Vec<(&str, usize)> = problems
        .iter()
        .map(|p| (p.key.as_str(), p.line.unwrap_or_default()))
        .collect();
    let expected: Vec<(&str, usize)> = want.iter().map(|(key, line, _)| (*key, *line)).collect();
    assert_eq!(got, expected, "\n{text}\n{:#?}", shown(problems));
    for (problem, (_, _, words)) in problems.iter().zip(want) {
        assert!(
            problem.message.contains(words),
            "\n{text}\n{problem}\nlacks: {words}"
        );
    }
}

fn refused(text: &str, want: &[Want<'_>]) {
    match Config::parse(text) {
        Ok(parsed) => panic!("{text}\nwas accepted: {parsed:#?}"),
        Err(problems) => check(text, &problems, want),
    }
}

fn warned(text: &str, want: &[Want<'_>]) {
    check(text, &parsed(text).warnings, want);
}

#[test]
fn row_88_wrong_values_are_refused_with_key_and_line() {
    refused("env: x\ncloud: azure\n", &[("cloud", 2, "`aws`, `gcp`")]);
    refused(
        "env:\n  name: x\n",
        &[("env", 1, "expected text, found a map")],
    );
    refused("\nregion: [a, b]\n", &[("region", 2, "found a list")]);
    refused(
        "defaultMasterPort: http\n",
        &[("defaultMasterPort", 1, "whole number, found text")],
    );
    refused(
        "defaultMasterPort: 70000\n",
        &[("defaultMasterPort", 1, "allowed are 1 to 65535")],
    );
    refused(
        "defaultMasterPort: 54.5\n",
        &[("defaultMasterPort", 1, "found a number")],
    );
    refused(
        "defaultMasterPort: \"\"\n",
        &[("defaultMasterPort", 1, "found empty text")],
    );
    refused(
        "defaultSslMode: strict\n",
        &[("defaultSslMode", 1, "`verify-full`")],
    );
    refused(
        "defaultDeletionPolicy: retain\n",
        &[("defaultDeletionPolicy", 1, "`orphan`")],
    );
    refused(
        "defaultReclaimPolicy: orphan\n",
        &[("defaultReclaimPolicy", 1, "`retain`")],
    );
}

#[test]
fn row_88_wrong_values_of_providers_and_lists_are_refused_with_key_and_line() {
    refused(
        "dynamicHostWaitTimeMin: 1m\n",
        &[("dynamicHostWaitTimeMin", 1, "whole number")],
    );
    refused(
        "dbMultiAZEnabled: yes\n",
        &[("dbMultiAZEnabled", 1, "true or false")],
    );
    refused(
        "a: 1\nb: 2\nsupportSuperUserElevation: maybe\n",
        &[("supportSuperUserElevation", 3, "true or false")],
    );
    refused(
        "enableCloudwatchLogsExport: some\n",
        &[("enableCloudwatchLogsExport", 1, "`upgrade`")],
    );
    refused(
        "defaultBackupPolicyValue: Tin\n",
        &[("defaultBackupPolicyValue", 1, "`Platinum`")],
    );
    refused(
        "backupRetentionDays: -1\n",
        &[("backupRetentionDays", 1, "is -1")],
    );
    refused(
        "defaultMinStorageGB: 0\n",
        &[("defaultMinStorageGB", 1, "is 0")],
    );
    refused(
        "authSource: aws\n",
        &[("authSource", 1, "`aws` is not supported")],
    );
    refused(
        "defaultExtensions: citext\n",
        &[("defaultExtensions", 1, "expected a list")],
    );
    refused(
        "defaultExtensions:\n  - a\n  - {b: c}\n",
        &[("defaultExtensions", 3, "found a map")],
    );
    refused(
        "maxConcurrentReconciles: 0\n",
        &[("maxConcurrentReconciles", 1, "1 to 1000")],
    );
    refused(
        "maxConnectionsPerServer: 99999\n",
        &[("maxConnectionsPerServer", 1, "1 to 1000")],
    );
    refused(
        "driftCheckPeriod: 10ms\n",
        &[("driftCheckPeriod", 1, "at least 1s")],
    );
    refused("overlap: 0\n", &[("overlap", 1, "is 0")]);
    refused("maxOverlap: -1h\n", &[("maxOverlap", 1, "is negative")]);
    refused(
        "passwordConfig: strong\n",
        &[("passwordConfig", 1, "expected a map, found text")],
    );
    refused(
        "passwordConfig:\n  passwordComplexity: high\n",
        &[(
            "passwordConfig.passwordComplexity",
            2,
            "`enabled`, `disabled`",
        )],
    );
}

#[test]
fn row_88_wrong_values_inside_maps_are_refused_with_key_and_line() {
    refused(
        "passwordConfig:\n  minPasswordLength: long\n",
        &[("passwordConfig.minPasswordLength", 2, "whole number")],
    );
    refused(
        "systemFunctions: [ib_env]\n",
        &[("systemFunctions", 1, "found a list")],
    );
    refused(
        "systemFunctions:\n  ib_env: [x]\n",
        &[("systemFunctions.ib_env", 2, "expected text, found a list")],
    );
}

#[test]
fn row_15_an_unusable_rotation_period_is_refused() {
    for (written, words) in [
        ("0", "is 0"),
        ("0s", "is 0"),
        ("-5", "is negative"),
        ("\"-5m\"", "is negative"),
        ("\"\"", "is empty"),
        ("hourly", "is not a duration"),
        ("60min", "unknown unit"),
        ("1h30", "without a unit"),
        ("99999999999999999999", "too long"),
        ("[60]", "found a list"),
    ] {
        let text = format!("env: x\npasswordConfig:\n  passwordRotationPeriod: {written}\n");
        refused(
            &text,
            &[("passwordConfig.passwordRotationPeriod", 3, words)],
        );
    }
}

#[test]
fn row_88_host_blocks_are_refused_with_key_and_line() {
    let admin = "  passwordSecretRef: s\n";
    refused(
        "atlas:\n  host: pg\n",
        &[("atlas.passwordSecretRef", 1, "is missing")],
    );
    refused(
        &format!("env: x\natlas:\n{admin}"),
        &[("atlas.host", 2, "is missing")],
    );
    refused(
        "atlas.bin:\n  username: root\n",
        &[
            ("atlas.bin.passwordSecretRef", 1, "missing"),
            ("atlas.bin.host", 1, "missing"),
        ],
    );
    refused(
        &format!("a:\n  host: pg:5432\n{admin}"),
        &[("a.host", 2, "under `port`")],
    );
    refused(
        &format!("a:\n  host: postgres://u:p@h/d\n{admin}"),
        &[("a.host", 2, "DSN or URL")],
    );
    refused(
        &format!("a:\n  host: two words\n{admin}"),
        &[("a.host", 2, "no host name")],
    );
    refused(
        &format!("a:\n  host: '[pg]'\n{admin}"),
        &[("a.host", 2, "no host name")],
    );
    refused(
        &format!("a:\n  host: [pg]\n{admin}"),
        &[("a.host", 2, "found a list")],
    );
    refused(
        &format!("a:\n  host: pg\n  port: 0\n{admin}"),
        &[("a.port", 3, "1 to 65535")],
    );
    refused(
        &format!("a:\n  host: pg\n  sslMode: on\n{admin}"),
        &[("a.sslMode", 3, "`require`")],
    );
    refused(
        "a:\n  host: pg\n  passwordSecretRef: {name: s}\n",
        &[("a.passwordSecretRef", 3, "expected text, found a map")],
    );
}

#[test]
fn row_88_the_root_sample_is_refused_with_key_and_line() {
    let only = "athena.hostapp:\n  username=root\n";
    refused(
        only,
        &[("athena.hostapp.username", 2, "write `username: ...`")],
    );
    let first = "env: x\nathena.hostapp:\n  username=root\n  host: pg\n";
    refused(
        first,
        &[
            ("athena.hostapp.username", 3, "`username=...`"),
            ("", 4, "not valid YAML"),
        ],
    );
    let last = "athena.hostapp:\n  host: pg\n  # admin\n  username=root\nregion: x\n";
    let problems = Config::parse(last).unwrap_err();
    assert_eq!(
        (problems[0].key.as_str(), problems[0].line),
        ("athena.hostapp.username", Some(4))
    );
    refused(
        "username=root\n",
        &[("username", 1, "write `username: ...`")],
    );
    let section = "passwordConfig:\n  minPasswordLength=20\n";
    refused(
        section,
        &[(
            "passwordConfig.minPasswordLength",
            2,
            "write `minPasswordLength: ...`",
        )],
    );
}

#[test]
fn row_88_text_that_is_not_yaml_is_refused_with_line_and_column() {
    for (text, line) in [
        ("env: x\nregion: \"open\n", 2),
        ("passwordConfig:\n\tminPasswordLength: 20\n", 2),
        ("env: x\nlist: [a, b\n", 2),
        ("env: x: y\n", 1),
        ("env: *nobody\n", 1),
    ] {
        let problems = Config::parse(text).unwrap_err();
        let [
            Problem {
                line: got,
                column: Some(_),
                message,
                ..
            },
        ] = problems.as_slice()
        else {
            panic!("{text}: {problems:#?}");
        };
        assert_eq!(*got, Some(line), "{text}: {message}");
        assert!(message.starts_with("not valid YAML: "), "{message}");
    }
    refused("- env\n- x\n", &[("", 1, "expected `key: value` lines")]);
    refused("just words\n", &[("", 1, "expected `key: value` lines")]);
    refused("? [a]\n: b\n", &[("", 1, "a key must be text")]);
    refused("<<: x\n", &[("<<", 1, "expected a map")]);
}

#[test]
fn row_88_a_key_given_twice_is_refused_whatever_its_case() {
    refused(
        "env: a\nregion: r\nENV: b\n",
        &[("ENV", 3, "first in line 1")],
    );
    refused(
        "a:\n  host: x\n  HOST: y\n  passwordSecretRef: s\n",
        &[("a.HOST", 3, "twice")],
    );
    refused(
        "passwordConfig: {minPasswordLength: 20}\npasswordConfig.minpasswordlength: 30\n",
        &[(
            "passwordConfig.minPasswordLength",
            1,
            "is given twice, first in line 2",
        )],
    );
}

#[test]
fn row_88_all_problems_are_told_at_once() {
    let text = "cloud: moon\ndefaultMasterPort: x\na: {host: pg}\nauthSource: aws\n";
    refused(
        text,
        &[
            ("cloud", 1, ""),
            ("defaultMasterPort", 2, ""),
            ("a.passwordSecretRef", 3, ""),
            ("authSource", 4, ""),
        ],
    );
}

#[test]
fn row_88_unknown_keys_are_warned_of_with_the_nearest_known_one() {
    warned("regoin: x\n", &[("regoin", 1, "did you mean `region`?")]);
    warned(
        "env: x\npasswordConfig:\n  minPasswordLenght: 20\n",
        &[(
            "passwordConfig.minPasswordLenght",
            3,
            "`passwordConfig.minPasswordLength`?",
        )],
    );
    warned("zz: 1\n", &[("zz", 1, "unknown key, ignored")]);
    warned(
        "a:\n  host: pg\n  passwordSecretRef: s\n  sslmod: require\n",
        &[("a.sslmod", 4, "did you mean `sslMode`?")],
    );
    warned(
        "a:\n  hots: pg\n",
        &[("a", 1, "a server has `host` and `passwordSecretRef`")],
    );
    warned("flags: a=b\n", &[("flags", 1, "unknown key")]);
}

#[test]
fn row_88_dead_keys_are_named_once() {
    warned(
        "authSource: secret\n",
        &[("authSource", 1, "has no effect")],
    );
    warned(
        "env: x\nathena-shared:\n  masterUsername: root\n",
        &[("athena-shared.masterUsername", 3, "has no effect")],
    );
    let block = "athena-shared: {host: pg, passwordSecretRef: s}\n";
    warned(block, &[]);
    assert!(config(block).server("athena-shared").is_some());
}

#[test]
fn row_88_values_that_work_but_surprise_are_warned_of() {
    let length = "passwordConfig.minPasswordLength";
    warned(
        "passwordConfig:\n  minPasswordLength: 5\n",
        &[(length, 2, "15 is used")],
    );
    warned(
        "passwordConfig:\n  minPasswordLength: '200'\n",
        &[(length, 2, "99 is used")],
    );
    warned(
        "dynamicHostWaitTimeMin: 0\n",
        &[("dynamicHostWaitTimeMin", 1, "1 is used")],
    );
    warned(
        "dynamicHostWaitTimeMin: 11\n",
        &[("dynamicHostWaitTimeMin", 1, "1 is used")],
    );
    warned(
        "supportSuperUserElevation: true\n",
        &[("supportSuperUserElevation", 1, "superuser")],
    );
    warned(
        "defaultDeletionPolicy: delete\ndefaultSkipFinalSnapshotBeforeDeletion: true\n",
        &[("defaultSkipFinalSnapshotBeforeDeletion", 2, "gone for good")],
    );
    warned(
        "systemFunctions:\n  realm: x\n",
        &[("systemFunctions.realm", 2, "<schema>_<function>")],
    );
    warned(
        "overlap: 30s\n",
        &[("overlap", 1, "shorter than the two minutes")],
    );
    warned(
        "maxOverlap: 10m\n",
        &[("maxOverlap", 1, "shorter than the overlap")],
    );
    warned(
        "env: x\n---\nenv: y\n",
        &[("", 2, "only the first is read")],
    );
    assert_eq!(config("env: x\n---\nenv: y\n").env, "x");
}

#[test]
fn no_message_repeats_a_value() {
    const CANARY: &str = "Hunter2-canary";
    for key in compare::all_keys() {
        for text in [
            format!("{key}: {CANARY}\n"),
            format!("x{key}:\n  - {CANARY}\n"),
        ] {
            let said = match Config::parse(&text) {
                Ok(parsed) => shown(&parsed.warnings),
                Err(problems) => shown(&problems),
            };
            assert!(!said.join("\n").contains(CANARY), "{said:?}");
        }
    }
    for key in [
        "username",
        "host",
        "port",
        "sslMode",
        "passwordSecretRef",
        "password",
    ] {
        let text =
            format!("a:\n  host:\n  username:\n  {key}2: \n  x={CANARY}\n  {key}: '{CANARY}@ :'\n");
        let said = shown(&Config::parse(&text).unwrap_err()).join("\n");
        assert!(!said.contains(CANARY), "{said}");
        let text =
            format!("a:\n  passwordSecretRef:\n  {key}x: {CANARY}\n  {key}: '{CANARY}@ :'\n");
        let said = match Config::parse(&text) {
            Ok(parsed) => shown(&parsed.warnings),
            Err(problems) => shown(&problems),
        };
        assert!(!said.join("\n").contains(CANARY), "{said:?}");
    }
}

#[test]
fn a_file_that_multiplies_itself_is_refused() {
    use std::fmt::Write as _;
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
    }
    let problems = Config::parse(&text).unwrap_err();
    assert!(problems[0].message.contains("more than"), "{problems:#?}");
    assert!(
        Config::parse("a: &a [*a]\n").is_err(),
        "a value that holds itself"
    );
    let deep = "[".repeat(100_000);
    assert!(Config::parse(&deep).is_err());
}
