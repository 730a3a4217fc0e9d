//! What applications in pods do, and what came of it. They know only localhost.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;

use crate::place::Place;
use crate::pods::containers;

/// Any line with one of these tells of something that went wrong.
const COMPLAINTS: [&str; 5] = ["error", "ERROR", "FATAL", "failed:", "aborted"];

/// What pgbench says, and our own scripts like it.
const PROCESSED: &str = "number of transactions actually processed: ";
const FAILED: &str = "number of failed transactions: ";

/// The last words of every script that comes to its end.
const THE_END: &str = "the end";

/// The proxy may need a moment after the application's start; from then on nothing may fail.
const UNTIL_SERVED: &str =
    "until psql -h localhost -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done\n";

/// Whether the story has ended; asked on a connection of its own.
const HAS_ENDED: &str = r#"[ "$(psql -h localhost -Atc 'SELECT count(*) > 0 FROM ended')" = t ]"#;

/// Rounds of pgbench with these options until the story ends.
pub(crate) fn pgbench(options: &str) -> String {
    format!(
        "{UNTIL_SERVED}
        cat >/tmp/work <<END
\\set n random(1, 1000)
BEGIN;
INSERT INTO lines (n) VALUES (:n);
SELECT max(id) FROM lines;
END;
END
        until {HAS_ENDED}; do
            pgbench -n -h localhost -f /tmp/work -c 2 -R 40 -T 15 {options} || echo 'failed: a round'
        done
        echo '{THE_END}'"
    )
}

/// A connection for each query until the story ends.
pub(crate) fn connection_per_query() -> String {
    format!(
        "{UNTIL_SERVED}
        count=0
        until {HAS_ENDED}; do
            for _ in 1 2 3 4 5 6 7 8 9 10; do
                psql -h localhost -qc 'INSERT INTO lines (n) VALUES (1)' || echo 'failed: a query'
                count=$((count + 1))
                sleep 0.1
            done
        done
        echo '{PROCESSED}'$count
        echo '{THE_END}'"
    )
}

/// For containers that are started again when they end.
pub(crate) fn stay_after(script: &str) -> String {
    format!("{script}\nsleep 100000")
}

/// A connection for each query, which is given up after a while; says `ok` or `failed` of each.
pub(crate) fn patient() -> String {
    format!(
        "{UNTIL_SERVED}
        export PGCONNECT_TIMEOUT=5
        while :; do
            if psql -h localhost -qc 'INSERT INTO lines (n) VALUES (1)' 2>/dev/null
            then echo ok; else echo failed; fi
            sleep 0.1
        done"
    )
}

/// What an application did.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) transactions: u64,
    pub(crate) failed: u64,
    pub(crate) complaints: Vec<String>,
}

impl Account {
    fn of(output: &str) -> Result<Self> {
        let mut account = Self::default();
        for line in output.lines() {
            if let Some(count) = line.strip_prefix(PROCESSED) {
                account.transactions += number(count)?;
            } else if let Some(count) = line.strip_prefix(FAILED) {
                account.failed += number(count)?;
            } else if COMPLAINTS.iter().any(|word| line.contains(word)) {
                account.complaints.push(line.to_owned());
            }
        }
        Ok(account)
    }
}

fn number(text: &str) -> Result<u64> {
    let digits = text.split(|letter: char| !letter.is_ascii_digit()).next();
    digits.unwrap_or_default().parse().context("no count")
}

impl Place<'_> {
    /// Waits until an application has come to its end, where nothing may have failed.
    pub(crate) async fn nothing_failed(&self, pod: &Pod, container: &str) -> Result<u64> {
        let output = self.says(pod, container, THE_END).await?;
        let pod = self.again(pod).await?;
        let statuses = containers(&pod);
        let restarts: i32 = statuses.iter().map(|it| it.restart_count).sum();
        ensure!(restarts == 0, "containers have restarted: {statuses:?}");
        let account = Account::of(&output)?;
        ensure!(
            account.failed == 0 && account.complaints.is_empty() && account.transactions > 0,
            "{container}: {account:?}"
        );
        Ok(account.transactions)
    }
}

#[test]
fn a_failure_in_any_round_is_seen() {
    let good = format!("{PROCESSED}590\n{FAILED}0 (0.000%)\n");
    let account = Account::of(&good.repeat(2)).unwrap();
    assert_eq!((account.transactions, account.failed), (1180, 0));
    assert!(account.complaints.is_empty());
    let failed = format!("{good}{PROCESSED}3\n{FAILED}2 (40.000%)\n");
    assert_eq!(Account::of(&failed).unwrap().failed, 2);
    for line in [
        "pgbench: error: client 1 script 0 aborted in command 3 query 0: FATAL:  no",
        "psql: error: connection to server at \"localhost\" failed: FATAL:  gone",
        "failed: a round",
    ] {
        let account = Account::of(&format!("{line}\n{good}")).unwrap();
        assert_eq!(account.complaints, [line]);
    }
}
