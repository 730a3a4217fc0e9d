//! What is refused, by which sentence; and that a sentence never quotes a value.

use super::*;

/// A config with one thing of each kind, in which `from` is replaced.
fn with(from: &str, to: &str) -> String {
    let text = "\
configs:
  shop:
    sources:
    - driver: postgres
      filename: /dsn
    destination:
      driver: postgres
      dsn: host=h user=u password=hunter2
    commands:
    - command: INSERT INTO t VALUES ($1)
      args:
      - '{{ index . \"/dsn\" \"host\" }}'
";
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

fn error(text: &str, choice: &Choice) -> String {
    let err = parse(text, choice).err().expect("a refusal").to_string();
    assert!(!err.contains("hunter2"), "{err}");
    err
}

#[test]
fn row_70_each_mistake_has_its_sentence() {
    for (from, to, want) in [
        (
            "driver: postgres\n      filename",
            "driver: mysql\n      filename",
            "config shop: source 1 has an unknown driver; use one of: postgres, json, yaml, none",
        ),
        (
            "filename: /dsn",
            "filename: ''",
            "config shop: source 1 has no filename",
        ),
        (
            "    destination:",
            "    - filename: /dsn\n    destination:",
            "config shop: source 2 has the filename of another one; each is read once",
        ),
        (
            "driver: postgres\n      dsn",
            "driver: tdb\n      dsn",
            "config shop: the destination: unknown driver; use one of: postgres, hotload, shelldb, fprintf",
        ),
        (
            "driver: postgres\n      dsn",
            "driver: shelldb\n      dsn",
            "config shop: the destination: driver shelldb runs programs and is refused without --allow-shelldb",
        ),
        (
            "driver: postgres\n      dsn",
            "driver: hotload\n      dsn",
            "config shop: the destination: its dsn is not of the form fsnotify://<driver>/<path>[?forceKill=true]",
        ),
        (
            "driver: postgres\n      dsn",
            "driver: fprintf\n      dsn",
            "config shop: the destination: its dsn is not of the form file:///path, or file:///$tmp/name",
        ),
        (
            "host=h user=u",
            "hunter2",
            "config shop: the destination: its dsn is not a DSN: neither a postgres:// URI nor a list of keyword=value",
        ),
        (
            "host=h ",
            "",
            "config shop: the destination: its dsn is without host",
        ),
        (
            "user=u",
            "port=99999 user=u",
            "config shop: the destination: its dsn is with a port that is no number from 1 to 65535",
        ),
        (
            "user=u",
            "sslmode=hunter2 user=u",
            "config shop: the destination: its dsn is with an unknown sslmode",
        ),
        (
            "{{ index",
            "{{ indx",
            "config shop: command 1, argument 1, line 12 of the file: there is no function indx, or it is not supported",
        ),
        (
            "INSERT INTO t",
            "INSERT {{ define }} t",
            "config shop: command 1, line 10 of the file: define is not supported",
        ),
    ] {
        assert_eq!(error(&with(from, to), &Choice::default()), want, "{to}");
    }
}

#[test]
fn row_70_a_file_of_the_wrong_shape_is_refused_by_line() {
    for (from, to, want) in [
        ("filename:", "filname:", "line 5: unknown field `filname`"),
        (
            "host=h user=u password=hunter2",
            "[hunter2]",
            "line 8: compare it",
        ),
        (
            "    commands:",
            "    transaction: hunter2\n    commands:",
            "line 9: compare it",
        ),
        (
            "    sources:",
            "    destination: {driver: fprintf}\n    sources:",
            "duplicate",
        ),
        ("configs:", "config:", "line 1: unknown field `config`"),
    ] {
        let err = error(&with(from, to), &Choice::default());
        assert!(err.contains(want), "{err}");
    }
}

#[test]
fn row_72_a_transaction_needs_a_database() {
    let text = with(
        "driver: postgres\n      dsn: host=h user=u password=hunter2",
        "driver: fprintf\n      dsn: file:///a",
    )
    .replace("    commands:", "    transaction: true\n    commands:");
    assert_eq!(
        error(&text, &Choice::default()),
        "config shop: transaction needs a destination of driver postgres or hotload"
    );
    let text = with("    commands:", "    transaction: true\n    commands:");
    let configs = parse(&text, &Choice::default()).ok().unwrap();
    assert_eq!(configs[0].commit, Commit::Together);
}

#[test]
fn row_70_the_command_line_turns_configs_on_and_off() {
    let off = with("    sources:", "    disabled: true\n    sources:");
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let count = |text: &str, enable: &[&str], disable: &[&str]| {
        let choice = Choice {
            enable: names(enable),
            disable: names(disable),
            shell: Shell::Refused,
        };
        parse(text, &choice).ok().map(|configs| configs.len())
    };
    let on = with("", "");
    assert_eq!(count(&on, &[], &[]), Some(1));
    assert_eq!(count(&on, &[], &["shop"]), Some(0));
    assert_eq!(count(&off, &[], &[]), Some(0));
    assert_eq!(count(&off, &["shop"], &[]), Some(1));
    assert_eq!(count(&off, &["shop"], &["shop"]), Some(0));
    let choice = Choice {
        disable: names(&["shpo"]),
        ..Choice::default()
    };
    assert_eq!(
        error(&on, &choice),
        "-d names shpo, and the config file has no such config"
    );
}

#[test]
fn row_71_programs_need_the_flag_unless_their_config_is_off() {
    let text = with("driver: postgres\n      dsn", "driver: shelldb\n      dsn");
    let allowed = Choice {
        shell: Shell::Allowed,
        ..Choice::default()
    };
    assert!(parse(&text, &allowed).is_ok());
    let off = text.replace("    sources:", "    disabled: true\n    sources:");
    assert!(parse(&off, &Choice::default()).is_ok());
}

#[test]
fn row_70_plain_numbers_and_words_of_truth_are_read_as_by_the_original() {
    let text = with(
        "args:\n      - '{{ index . \"/dsn\" \"host\" }}'",
        "args: [5432, true, 1.50]",
    )
    .replace("    sources:", "    disabled: no\n    sources:");
    let configs = parse(&text, &Choice::default()).ok().unwrap();
    let nothing = crate::value::Value::Null;
    let rendered = configs[0].commands[0].arguments.iter();
    let rendered: Vec<_> = rendered
        .map(|template| template.render(&nothing).unwrap().to_string())
        .collect();
    assert_eq!(rendered, ["5432", "true", "1.50"]);
}

#[test]
fn the_reference_names_every_function_and_its_samples_are_configs() {
    let reference = include_str!("../../README.md");
    for name in template::functions::names() {
        assert!(
            reference.contains(&format!("`{name}`")),
            "{name} is missing"
        );
    }
    let allowed = Choice {
        shell: Shell::Allowed,
        ..Choice::default()
    };
    let samples: Vec<_> = reference.split("```yaml\n").skip(1).collect();
    assert!(!samples.is_empty());
    for sample in samples {
        let sample = sample.split("```").next().unwrap();
        assert!(
            !parse(sample, &allowed).ok().unwrap().is_empty(),
            "{sample}"
        );
    }
}
