//! What dbproxy takes: statements per second and latency beside a direct connection, and the memory
//! of dbproxy and PgBouncer together. pgbench asks `SELECT 1`, so that almost all is the way there.

mod pgbench;

use anyhow::{Context, Result};
use testkit::assets::pgbouncer;
use testkit::postgres::PostgresServer;

use self::pgbench::{Measured, Way};
use super::report::{Aim, Figure, Report, median};
use super::sidecar::{self, Sidecar};
use super::{Effort, say};

const CLIENTS: [u32; 3] = [1, 16, 64];

/// MiB of dbproxy and PgBouncer.
const MEMORY: Aim = Aim::AtMost(15.0);

pub(super) async fn run(effort: Effort) -> Result<Report> {
    tokio::task::spawn_blocking(sidecar::build).await??;
    let mut report = Report::new("dbproxy", effort);
    let server = PostgresServer::builder().start().await?;
    let login = server.create_login("clerk", "").await?;
    let program = pgbouncer::program()?;
    let program = program.to_str().context("the path of PgBouncer")?;
    // Connections to the server: the default, or enough for every client.
    let start = async |mode, size| {
        let settings = [
            ("DBPROXY_PGBOUNCER", program),
            ("DBPROXY_POOL_MODE", mode),
            ("DBPROXY_POOL_SIZE", size),
        ];
        Sidecar::start(&login.url(), &settings).await
    };
    let transaction = start("transaction", "20").await?;
    // Alone: two that run share pages.
    let idle = Memory::of(&transaction)?;
    let session = start("session", "64").await?;
    let ways = [
        ("direct", Way::direct(&login, server.port())),
        ("transaction mode", Way::through(transaction.port())),
        ("session mode", Way::through(session.port())),
    ];
    for clients in CLIENTS {
        let mut measured = [const { Vec::new() }; 3];
        // In turns, so that whatever slows the machine slows all alike.
        for _ in 0..effort.runs {
            for ((name, way), measured) in ways.iter().zip(&mut measured) {
                let one = way.measure(clients, effort.is_quick).await?;
                say(&format!("{clients} clients, {name}: {one}"));
                measured.push(one);
            }
        }
        add(
            &mut report,
            clients,
            ways.each_ref().map(|way| way.0),
            &measured,
        );
    }
    session.stop().await?;
    let busy = Memory::of(&transaction)?;
    for (when, memory) in [("idle", idle), ("after the load", busy)] {
        let figure = |what: &str, value| Figure::new(format!("{when}: {what}"), "MiB", value);
        report.figures.extend([
            figure("dbproxy", memory.dbproxy),
            figure("PgBouncer", memory.pgbouncer),
            figure("both", memory.dbproxy + memory.pgbouncer).aim(MEMORY),
        ]);
    }
    report.notes.extend(
        [
            "statements: pgbench's SELECT 1, simple protocol, no TLS, all on this machine's cores",
            "transaction mode: 20 connections to the server; session mode: one for each client",
            "memory: proportional set size, in transaction mode, no other dbproxy on the machine",
        ]
        .map(str::to_owned),
    );
    transaction.stop().await?;
    server.stop().await?;
    Ok(report)
}

/// In MiB.
#[derive(Clone, Copy)]
struct Memory {
    dbproxy: f64,
    pgbouncer: f64,
}

impl Memory {
    fn of(sidecar: &Sidecar) -> Result<Self> {
        Ok(Self {
            dbproxy: sidecar.memory()?,
            pgbouncer: sidecar.memory_of_pgbouncer()?,
        })
    }
}

fn add(report: &mut Report, clients: u32, names: [&str; 3], measured: &[Vec<Measured>; 3]) {
    let middle = |of: fn(&Measured) -> f64, all: &[Measured]| {
        median(&all.iter().map(of).collect::<Vec<_>>())
    };
    let mut direct = None;
    for (name, all) in names.into_iter().zip(measured) {
        let rate = middle(|one| one.per_second, all);
        let latency = middle(|one| one.milliseconds, all);
        let what = format!("{clients} clients, {name}");
        report
            .figures
            .push(Figure::new(format!("{what}: statements"), "1/s", rate));
        let (what, latency) = match direct {
            None => (format!("{what}: latency"), latency),
            Some(direct) => (format!("{what}: added latency"), latency - direct),
        };
        direct = direct.or(Some(latency));
        report.figures.push(Figure::new(what, "ms", latency));
    }
}
