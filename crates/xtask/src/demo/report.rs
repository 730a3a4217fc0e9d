//! What the demo shows at its end, and whether that is good.

use std::fmt;
use std::time::Duration;

/// Fewer rotations prove too little.
pub(super) const REQUIRED_ROTATIONS: i64 = 20;

/// One claim's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub claim: String,
    pub server: String,
    pub rotations: i64,
    pub queries: u64,
    pub failed_queries: u64,
    /// Of the application and of the prober.
    pub logins: u64,
    pub failed_logins: u64,
    /// The first few, in words.
    pub failures: Vec<String>,
}

pub(super) struct Report {
    pub rows: Vec<Row>,
    pub took: Duration,
}

impl Report {
    /// Enough rotations, no failure, and everybody did something.
    pub(super) fn is_good(&self) -> bool {
        let Row {
            rotations,
            failed_queries,
            failed_logins,
            ..
        } = total(&self.rows);
        let is_used = |row: &Row| row.queries > 0 && row.logins > 0 && row.rotations > 0;
        rotations >= REQUIRED_ROTATIONS
            && failed_queries == 0
            && failed_logins == 0
            && !self.rows.is_empty()
            && self.rows.iter().all(is_used)
    }
}

/// The sum of all rows.
fn total(rows: &[Row]) -> Row {
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum();
    Row {
        claim: "total".to_owned(),
        server: String::new(),
        rotations: rows.iter().map(|row| row.rotations).sum(),
        queries: sum(|row| row.queries),
        failed_queries: sum(|row| row.failed_queries),
        logins: sum(|row| row.logins),
        failed_logins: sum(|row| row.failed_logins),
        failures: Vec::new(),
    }
}

/// One line for a moment on the way.
pub(super) fn progress(rows: &[Row]) -> String {
    let Row {
        rotations,
        queries,
        failed_queries,
        logins,
        failed_logins,
        ..
    } = total(rows);
    format!(
        "{rotations:3} rotations, {queries:6} queries ({failed_queries} failed), \
         {logins:5} logins ({failed_logins} failed)"
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = total(&self.rows);
        let all = self.rows.iter().chain([&total]);
        let width = |of: fn(&Row) -> &str| all.clone().map(|row| of(row).len()).max().unwrap_or(0);
        let (claim, server) = (width(|row| &row.claim), width(|row| &row.server));
        let heading = format!(
            "{:claim$}  {:server$}  rotations  queries  failed queries  logins  failed logins",
            "claim", "server"
        );
        let rule = "-".repeat(heading.len());
        writeln!(f, "{heading}\n{rule}")?;
        for row in &self.rows {
            line(f, row, claim, server)?;
        }
        writeln!(f, "{rule}")?;
        line(f, &total, claim, server)?;
        for failure in self.rows.iter().flat_map(|row| &row.failures) {
            writeln!(f, "failure: {failure}")?;
        }
        let verdict = if self.is_good() {
            "The promise held: no login and no query failed."
        } else if total.failed_logins + total.failed_queries > 0 {
            "THE PROMISE WAS BROKEN."
        } else {
            "Too few rotations, or a claim without traffic: nothing is shown."
        };
        write!(f, "\n{verdict} It took {:.0} s.", self.took.as_secs_f64())
    }
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row, claim: usize, server: usize) -> fmt::Result {
    writeln!(
        f,
        "{:claim$}  {:server$}  {:>9}  {:>7}  {:>14}  {:>6}  {:>13}",
        row.claim,
        row.server,
        row.rotations,
        row.queries,
        row.failed_queries,
        row.logins,
        row.failed_logins
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        let row = |claim: &str| Row {
            claim: claim.to_owned(),
            server: "first".to_owned(),
            rotations: REQUIRED_ROTATIONS / 2,
            queries: 9,
            logins: 9,
            ..Row::default()
        };
        Report {
            rows: vec![row("orders"), row("invoices")],
            took: Duration::from_secs(40),
        }
    }

    #[test]
    fn enough_rotations_without_a_failure_are_good() {
        assert!(good().is_good());
        assert!(good().to_string().contains("The promise held"));
    }

    #[test]
    fn a_failure_too_few_rotations_or_no_traffic_are_not() {
        let changes: [fn(&mut Row); 5] = [
            |row| row.failed_logins = 1,
            |row| row.failed_queries = 1,
            |row| row.rotations -= 1,
            |row| row.queries = 0,
            |row| row.logins = 0,
        ];
        for change in changes {
            let mut report = good();
            change(&mut report.rows[0]);
            assert!(!report.is_good(), "{report}");
        }
        let nothing = Report {
            rows: Vec::new(),
            took: Duration::ZERO,
        };
        assert!(!nothing.is_good());
    }
}
