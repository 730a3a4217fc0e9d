//! What one claim costs the API server and PostgreSQL: counted from their own logs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use testkit::control_plane::Request;

use super::batch::{self, Batch, Mode};
use super::report::{Aim, Figure, Report, float};
use super::stage::{Logging, Stage};
use super::statements::Counts;
use super::watch::{Watch, has_handled};
use super::{Effort, say};

const CLAIMS: usize = 50;
const CLAIMS_AT_RESTART: usize = 500;

/// How long after the last sign of work something may still be written: Events, above all.
const SETTLING: Duration = Duration::from_secs(3);

/// A controller over settled claims is watched for so long.
const QUIET: Duration = Duration::from_secs(15);

/// What happened between two looks at the logs.
struct Spent {
    writes: Vec<Request>,
    events: usize,
    failed: Vec<Request>,
    reads: usize,
    sql: Counts,
}

/// Where the logs ended at the last look.
struct Meter {
    requests: usize,
    log: usize,
}

impl Meter {
    fn start(stage: &Stage) -> Result<Self> {
        Ok(Self {
            requests: stage.requests()?.len(),
            log: stage.postgres.log()?.len(),
        })
    }

    fn read(self, stage: &Stage) -> Result<Spent> {
        let requests = stage.requests()?.into_iter().skip(self.requests);
        let log = stage.postgres.log()?;
        let log = log
            .get(self.log..)
            .context("the server's log became shorter")?;
        let (writes, reads): (Vec<_>, Vec<_>) = requests.partition(Request::is_write);
        let failed = writes
            .iter()
            .chain(&reads)
            .filter(|request| request.is_failed());
        let failed = failed.cloned().collect();
        let is_event = |request: &Request| request.resource == "events";
        let events = writes.iter().filter(|request| is_event(request)).count();
        let writes = writes.into_iter();
        Ok(Spent {
            writes: writes.filter(|request| !is_event(request)).collect(),
            events,
            failed,
            reads: reads.len(),
            sql: Counts::of(log),
        })
    }
}

pub(super) async fn run(effort: Effort) -> Result<Report> {
    let mut report = Report::new("cost", effort);
    let mut stage = Stage::with_controller(Logging::Statements).await?;
    let count = effort.claims(CLAIMS);
    let batch = Batch::new("cost", count, Mode::Existing);
    let created = creation(&stage, &batch).await?;
    add(
        &mut report,
        "create",
        &created,
        count,
        [Some(10.0), Some(2.0), Some(32.0), Some(5.0)],
        [3.0, 0.0, 12.0, 3.0],
    );

    let meter = Meter::start(&stage)?;
    let mut watch = Watch::start(stage.client.clone()).await?;
    batch.ask_to_rotate(&stage, "cost").await?;
    watch
        .until(count, |claim| has_handled(claim, "cost"))
        .await?;
    tokio::time::sleep(SETTLING).await;
    let rotated = meter.read(&stage)?;
    add(
        &mut report,
        "rotate",
        &rotated,
        count,
        [Some(5.0), Some(2.0), Some(29.0), Some(5.0)],
        [2.0, 0.0, 8.0, 3.0],
    );

    let new = Batch::new("new", count, Mode::New);
    let made = creation(&stage, &new).await?;
    add(
        &mut report,
        "create, new database",
        &made,
        count,
        [None; 4],
        [3.0, 0.0, 12.0, 3.0],
    );

    let more = Batch::new(
        "more",
        effort.claims(CLAIMS_AT_RESTART - 2 * CLAIMS),
        Mode::ExistingBare,
    );
    creation(&stage, &more).await?;
    batch::counted(&stage, new.count).await?;
    let all = batch.count + new.count + more.count;
    stage.stop_controller().await?;
    let meter = Meter::start(&stage)?;
    stage.start_controller().await?;
    tokio::time::sleep(QUIET).await;
    let restarted = meter.read(&stage)?;
    add(
        &mut report,
        &format!("restart, {all} claims"),
        &restarted,
        all,
        [Some(1.0), Some(2.0), Some(0.0), Some(0.0)],
        [0.0; 4],
    );
    stage.stop().await?;
    Ok(report)
}

async fn creation(stage: &Stage, batch: &Batch) -> Result<Spent> {
    batch.prepare(stage).await?;
    tokio::time::sleep(SETTLING).await;
    let meter = Meter::start(stage)?;
    batch.create(stage).await?;
    tokio::time::sleep(SETTLING).await;
    meter.read(stage)
}

/// Figures per claim. `original` and `aims` are API writes, failing API calls, SQL statements and
/// connections. Statements are counted as they were for the original: what `log_statement = all`
/// logs is one, whatever stands in it. Commands count each of several in one message.
fn add(
    report: &mut Report,
    event: &str,
    spent: &Spent,
    count: usize,
    original: [Option<f64>; 4],
    aims: [f64; 4],
) {
    let Spent {
        writes,
        events,
        failed,
        reads,
        sql,
    } = spent;
    let each = |total: usize| float(total) / float(count.max(1));
    let measured = [
        ("API writes", writes.len()),
        ("failing API calls", failed.len()),
        ("SQL statements", sql.messages),
        ("connections", sql.connections),
    ];
    for (((what, total), original), aim) in measured.into_iter().zip(original).zip(aims) {
        report.figures.push(Figure {
            original,
            aim: Some(Aim::AtMost(aim)),
            ..Figure::new(format!("{event}: {what}"), "per claim", each(total))
        });
    }
    let further = [
        ("SQL commands in these statements", sql.statements),
        ("SQL errors", sql.errors),
        ("Events", *events),
        ("API reads", *reads),
    ];
    for (what, total) in further {
        let figure = Figure::new(format!("{event}: {what}"), "per claim", each(total));
        report.figures.push(figure);
    }
    let kinds: BTreeMap<_, _> = sql.kinds.iter().map(|(kind, n)| (kind, each(*n))).collect();
    let details = json!({
        "what": event,
        "claims": count,
        "writes": by_kind(writes),
        "failed": by_kind(failed),
        "sql": sql,
        "statementsPerClaim": kinds,
    });
    say(&format!("{event}: {details}"));
    report.details.push(details);
}

fn by_kind(requests: &[Request]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for request in requests {
        let Request {
            verb,
            resource,
            status,
            ..
        } = request;
        *kinds
            .entry(format!("{verb} {resource} {status}"))
            .or_default() += 1;
    }
    kinds
}
