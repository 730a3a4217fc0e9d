//! Where the time goes: CPU of each process, and of everybody else on this machine.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

use super::report::float;
use super::stage::Stage;

/// Ticks in a second, as `/proc` counts them on every Linux.
const TICKS: f64 = 100.0;

/// CPU seconds used so far, children included.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cpu {
    pub controller: f64,
    pub postgres: f64,
    pub apiserver: f64,
    pub etcd: f64,
    pub bench: f64,
    /// Everything on this machine, other people's programs too.
    pub machine: f64,
}

impl Cpu {
    pub(super) fn now(stage: &Stage) -> Result<Self> {
        let mut cpu = Self {
            controller: stage.controller_pid().map_or(Ok(0.0), of)?,
            postgres: of(stage.postgres.process().pid())?,
            apiserver: 0.0,
            etcd: 0.0,
            bench: of(std::process::id())?,
            machine: machine()?,
        };
        for process in stage.control_plane.processes() {
            match process.name() {
                "etcd" => cpu.etcd = of(process.pid())?,
                "kube-apiserver" => cpu.apiserver = of(process.pid())?,
                _ => {}
            }
        }
        Ok(cpu)
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            controller: self.controller - before.controller,
            postgres: self.postgres - before.postgres,
            apiserver: self.apiserver - before.apiserver,
            etcd: self.etcd - before.etcd,
            bench: self.bench - before.bench,
            machine: self.machine - before.machine,
        }
    }

    /// What others used of all cores in `seconds`, in percent: how far a measurement is to be
    /// trusted.
    pub(super) fn others_percent(self, seconds: f64) -> f64 {
        let Self {
            controller,
            postgres,
            apiserver,
            etcd,
            bench,
            machine,
        } = self;
        let others = machine - controller - postgres - apiserver - etcd - bench;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (others * 100.0 / (seconds * float(cores))).max(0.0)
    }

    /// In milliseconds for each of `count`.
    pub(super) fn each(self, count: f64) -> Self {
        let each = |seconds: f64| seconds * 1000.0 / count.max(1.0);
        Self {
            controller: each(self.controller),
            postgres: each(self.postgres),
            apiserver: each(self.apiserver),
            etcd: each(self.etcd),
            bench: each(self.bench),
            machine: each(self.machine),
        }
    }
}

/// One process and the children that it has or had. A postmaster's backends count once only: those
/// that ended were added to it when it waited for them.
fn of(pid: u32) -> Result<f64> {
    let (own, mut ticks) = stat(pid)?;
    ticks += own;
    if pid == std::process::id() {
        return Ok(own / TICKS);
    }
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.unwrap_or_default().split_whitespace() {
        // It may be gone by now; then its parent has its time.
        if let Some((own, ended)) = child.parse().ok().and_then(|pid| stat(pid).ok()) {
            ticks += own + ended;
        }
    }
    Ok(ticks / TICKS)
}

/// Ticks of a process and of its children that ended: fields 14 to 17 of proc(5).
fn stat(pid: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is a name in brackets, which may hold anything.
    let (_, rest) = text.rsplit_once(')').context("no name in stat")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || -> Result<f64> {
        let field = fields.next().context("stat is too short")?;
        Ok(field.parse()?)
    };
    let own = next()? + next()?;
    let ended = next()? + next()?;
    Ok((own, ended))
}

/// Seconds that all cores were busy: all fields of `/proc/stat` but idle, iowait and guests.
fn machine() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let is_busy = |(index, _): &(usize, &f64)| !matches!(index, 3 | 4);
    let ticks: f64 = fields
        .iter()
        .enumerate()
        .filter(is_busy)
        .map(|(_, t)| t)
        .sum();
    Ok(ticks / TICKS)
}

/// The load averages, as text.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().take(3).collect();
    words.join(" ")
}
