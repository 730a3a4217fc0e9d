//! Figures beside the original's and the aims: a table for people, JSON for programs.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use testkit::assets;

use super::Effort;
use super::cpu;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

/// One measured number.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub what: String,
    pub unit: &'static str,
    pub value: f64,
    pub original: Option<f64>,
    pub aim: Option<Aim>,
}

impl Figure {
    pub(super) fn new(what: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            value,
            original: None,
            aim: None,
        }
    }

    pub(super) fn original(self, original: f64) -> Self {
        Self {
            original: Some(original),
            ..self
        }
    }

    pub(super) fn aim(self, aim: Aim) -> Self {
        Self {
            aim: Some(aim),
            ..self
        }
    }

    fn verdict(&self) -> &'static str {
        let is_met = match self.aim {
            None => return "",
            Some(Aim::AtMost(most)) => self.value <= most,
            Some(Aim::AtLeast(least)) => self.value >= least,
        };
        if is_met { "met" } else { "MISSED" }
    }
}

/// All that one benchmark found.
pub(super) struct Report {
    name: &'static str,
    conditions: Value,
    pub figures: Vec<Figure>,
    /// What each run measured, for whoever doubts a median.
    pub details: Vec<Value>,
    pub notes: Vec<String>,
}

impl Report {
    /// Notes at the start what else the machine does.
    pub(super) fn new(name: &'static str, effort: Effort) -> Self {
        let conditions = json!({
            "startedAt": jiff::Timestamp::now().to_string(),
            "commit": commit(),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "loadBefore": cpu::load(),
            "quick": effort.is_quick,
            "runs": effort.runs,
            "postgres": "15, fsync on, max_connections 300, SCRAM, no TLS",
            "controlPlane": "etcd without fsync, kube-apiserver with an audit log",
        });
        Self {
            name,
            conditions,
            figures: Vec::new(),
            details: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn write(&self) -> Result<PathBuf> {
        let Self {
            name,
            conditions,
            figures,
            details,
            notes,
        } = self;
        let folder = assets::workspace().join("target/bench");
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.json"));
        let value = json!({
            "bench": name,
            "conditions": conditions,
            "loadAfter": cpu::load(),
            "figures": figures,
            "notes": notes,
            "details": details,
        });
        fs::write(&path, serde_json::to_string_pretty(&value)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

fn commit() -> String {
    let output = Command::new("git")
        .current_dir(assets::workspace())
        .args(["describe", "--always", "--dirty"])
        .output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.figures.iter().map(|figure| figure.what.len()).max();
        let width = width.unwrap_or(0);
        let name = self.name;
        writeln!(
            f,
            "{name:width$}  {:>9}  {:9}  {:>8}  {:>9}",
            "measured", "", "original", "aim"
        )?;
        writeln!(f, "{}", "-".repeat(width + 53))?;
        for figure in &self.figures {
            let original = figure.original.map(number).unwrap_or_default();
            let aim = match figure.aim {
                None => String::new(),
                Some(Aim::AtMost(most)) => format!("<= {}", number(most)),
                Some(Aim::AtLeast(least)) => format!(">= {}", number(least)),
            };
            let line = format!(
                "{:width$}  {:>9}  {:9}  {original:>8}  {aim:>9}  {}",
                figure.what,
                number(figure.value),
                figure.unit,
                figure.verdict(),
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        for note in &self.notes {
            writeln!(f, "* {note}")?;
        }
        Ok(())
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        x if x >= 100.0 => format!("{value:.0}"),
        x if x >= 10.0 => format!("{value:.1}"),
        x if x >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let half = values.len() / 2;
    let (low, high) = (
        percentile_at(values, values.len().saturating_sub(1) / 2),
        percentile_at(values, half),
    );
    f64::midpoint(low, high)
}

/// The value below which `percent` of them lie (nearest rank).
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let rank = (values.len() * percent).div_ceil(100);
    percentile_at(values, rank.saturating_sub(1))
}

fn percentile_at(values: &[f64], index: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(index).copied().unwrap_or_default()
}

/// A count as a number to calculate with.
pub(super) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_those_of_the_sorted_values() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < 1e-9);
        let all: Vec<f64> = (1..=200).map(f64::from).collect();
        assert!((percentile(&all, 99) - 198.0).abs() < 1e-9);
        assert!((percentile(&[7.0], 50) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn an_aim_is_met_up_to_its_bound() {
        let figure = |value| Figure::new("x", "", value);
        assert_eq!(figure(3.0).aim(Aim::AtMost(3.0)).verdict(), "met");
        assert_eq!(figure(3.1).aim(Aim::AtMost(3.0)).verdict(), "MISSED");
        assert_eq!(figure(99.0).aim(Aim::AtLeast(100.0)).verdict(), "MISSED");
        assert_eq!(figure(1.0).verdict(), "");
    }
}
