//! The plugin in the hands of programs, and in vain: JSON, exit codes, and bars where it waits.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::assets::workspace;

use super::{CLEARED, Scene};

pub(super) const COMMANDS: [&str; 10] = [
    "list", "status", "rotate", "who", "plan", "revoke", "adopt", "connect", "pause", "resume",
];

/// Commands that wait for the controller, as they are run where there is none.
const WAITING: [(&str, &str); 5] = [
    ("rotate", "rotate archive --timeout 1s"),
    ("who", "who archive --timeout 1s"),
    ("plan", "plan archive --timeout 1s"),
    ("revoke", "revoke orders --timeout 1s"),
    (
        "adopt",
        "adopt more --dsn postgres://h/d --secret legacy-admin --class blue --timeout 1s",
    ),
];

/// A script of psql that fails, which is another number there than elsewhere.
const FAILING_SCRIPT: &str = "connect orders -- -Xqv ON_ERROR_STOP=1 -f - <<'END'
SELECT 1/0;
END
";

/// Every command gives one document, with nothing cut.
pub(super) fn say_json(scene: &Scene) -> Result<()> {
    let list = scene.json("list")?;
    let all = list.as_array().context("a list")?.iter();
    let names: Vec<_> = all.filter_map(|one| one.get("name")).collect();
    assert_eq!(
        names,
        ["archive", "ledger", "legacy", "orders", "bi", "reports"]
    );
    let status = scene.json("status orders")?;
    assert_eq!(status.pointer("/summary/isPaused"), Some(&json!(false)));
    let rotated = scene.json("rotate orders")?;
    assert_eq!(rotated.get("generation"), Some(&json!(4)));
    assert_ne!(rotated.get("from"), rotated.get("to"));
    let asked = scene.json("rotate orders --no-wait")?;
    assert_eq!(asked.get("isDone"), Some(&json!(false)));
    let rotated = scene.json("rotate bi")?;
    assert_eq!(rotated.get("to"), Some(&json!("bi_user_a")));
    let who = scene.json("who orders")?;
    assert_eq!(who.get("sessionCount"), Some(&json!(0)));
    let plan = scene.json("plan orders")?;
    assert_eq!(plan.get("plan"), Some(&json!([])));
    let revoked = scene.json("revoke bi")?;
    assert_eq!(revoked.get("login"), Some(&json!("bi_user_a")));
    let paused = scene.json("pause orders")?;
    assert_eq!(paused.get("isPaused"), Some(&json!(true)));
    let resumed = scene.json("resume orders")?;
    assert_eq!(resumed.get("isPaused"), Some(&json!(false)));
    let place = scene.json("connect orders")?;
    assert_eq!(place.get("database"), Some(&json!("orders")));
    let login = place.get("login").and_then(|login| login.as_str());
    assert!(login.is_some_and(|login| login.starts_with("clerk_")));
    assert!(!place.to_string().contains("password"), "{place}");
    let source = "--dsn postgres://admin@pg1.internal/legacy --secret legacy-admin";
    let adopted = scene.json(&scene.real(&format!("adopt again {source}")))?;
    assert_eq!(adopted.get("ready"), Some(&json!(true)));
    let manifest = scene.json("adopt more --dsn postgres://h/d --secret s --dry-run")?;
    assert_eq!(
        manifest.pointer("/spec/useExistingSource"),
        Some(&json!(true))
    );
    Ok(())
}

/// How commands end that do not wait.
pub(super) fn end_as_documented(scene: &Scene) -> Result<()> {
    for command in COMMANDS {
        let whole = match command {
            "list" => "list".to_owned(),
            "adopt" => "adopt more --dsn postgres://h/d --secret s".to_owned(),
            command => format!("{command} orders"),
        };
        let ends = |more: &str, code, words| ends(scene, &format!("{whole} {more}"), code, words);
        ends("--context nowhere", 1, "nowhere")?;
        ends("--namespaces shop", 2, "--namespaces")?;
        ends("--output yaml", 2, "yaml")?;
    }
    for (arguments, code, words) in [
        ("revoke orders --generation 99", 1, "no credential 99"),
        ("revoke orders --generation 1 --dry-run", 0, "works no more"),
        (
            "adopt more --dsn postgres://a:b@h/d --secret s",
            1,
            "holds a password",
        ),
        (
            "adopt more --dsn postgres://h/d --secret nothing",
            1,
            "there is no Secret nothing",
        ),
        ("who reports", 1, "name the claim that it shares"),
        ("status ledger", 3, "server nowhere"),
        ("status archive", 3, "class blue"),
        ("status nothing", 1, "there is no claim nothing"),
        ("rotate reports", 1, "name the claim that it shares: orders"),
        ("pause bi", 1, "keeps the time of claim orders"),
        ("connect archive", 1, "has not published"),
        ("rotate orders --timeout soon", 2, "--timeout"),
        (FAILING_SCRIPT, 3, "division by zero"),
    ] {
        ends(scene, arguments, code, words)?;
    }
    Ok(())
}

fn ends(scene: &Scene, arguments: &str, code: i32, words: &str) -> Result<()> {
    let output = scene.run(arguments)?;
    let (said, told) = (&output.stdout, &output.stderr);
    let all = [said.as_slice(), told.as_slice()].concat();
    let all = String::from_utf8_lossy(&all).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {all}");
    assert!(all.contains(words), "{arguments}: {all}");
    Ok(())
}

/// In vain they end with 3, as does a status that is not ready, and no others: the table says so.
pub(super) async fn show_that_they_wait(scene: &Scene) -> Result<()> {
    let left = json!({ "spec": { "class": "blue" } });
    scene.stage.patch("orders", left).await?;
    let mut in_vain = BTreeSet::from(["status".to_owned()]);
    for (command, arguments) in WAITING {
        let output = scene.drawn(arguments)?;
        let drawn = String::from_utf8(output.stdout)?;
        ensure!(output.status.code() == Some(3), "{arguments}: {drawn}");
        ensure!(drawn.contains("] 0s of 1s  "), "no bar: {drawn}");
        let stands = drawn.rsplit(CLEARED).next().unwrap_or_default();
        ensure!(
            stands.contains("no controller") && !stands.contains(" of 1s"),
            "{drawn}"
        );
        in_vain.insert(command.to_owned());
    }
    // Where standard error is no terminal there is no bar.
    let output = scene.run("plan archive --timeout 1s")?;
    ensure!(!String::from_utf8_lossy(&output.stderr).contains(" of 1s"));
    let table = std::fs::read_to_string(workspace().join("docs/kubectl-dbclaim.md"))?;
    let row = table.lines().find(|line| line.starts_with("| 3 |"));
    let commands = row
        .and_then(|row| row.split('|').nth(3))
        .context("no row")?;
    let commands = commands
        .split(',')
        .map(|name| name.trim().trim_matches('`').to_owned());
    assert_eq!(commands.collect::<BTreeSet<_>>(), in_vain);
    Ok(())
}
