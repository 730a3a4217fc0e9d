//! `plan`: what the controller would do next.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

use crate::Ended;
use crate::args::Output;
use crate::ask::{self, Waited};
use crate::claims::{self, Summary};
use crate::cluster::Cluster;
use crate::output;
use crate::when::between;

pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    patience: Duration,
    output: Output,
) -> Result<Ended> {
    let found = claims::with_logins(cluster, name).await?;
    let (kind, summary) = (found.kind(), found.summary());
    let inspection = match ask::inspect(cluster, &found, name, patience).await? {
        Waited::Done(inspection) => inspection,
        Waited::InVain(why) => {
            eprintln!("{kind} {name} has no plan: {why}");
            return Ok(Ended::NotReady);
        }
    };
    match output {
        Output::Json => output::json(&json!({
            "claim": name,
            "at": inspection.at,
            "plan": inspection.plan,
            "nextRotationAt": summary.next_rotation_at,
        }))?,
        Output::Text => {
            println!("{kind} {}/{name}", summary.namespace);
            for line in lines(&inspection.plan, &summary) {
                println!("{}", output::cut(&format!("  {line}"), output::width()));
            }
        }
    }
    Ok(Ended::Well)
}

fn lines(plan: &[String], summary: &Summary) -> Vec<String> {
    let steps = plan.iter().enumerate();
    let mut lines: Vec<_> = steps
        .map(|(number, step)| format!("{}. {step}", number + 1))
        .collect();
    if lines.is_empty() {
        lines.push("nothing to do now".to_owned());
    }
    if summary.is_paused {
        lines.push("no rotation, it is paused".to_owned());
    } else if let Some(at) = summary.next_rotation_at {
        let now = Timestamp::now();
        lines.push(format!("the next rotation is due in {}", between(now, at)));
    }
    lines
}
