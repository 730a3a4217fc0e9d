//! `list`: all claims of a namespace, or of all, beside each other.

use anyhow::{Context, Result};
use api::claim::DatabaseClaim;
use api::role_claim::DbRoleClaim;
use jiff::Timestamp;
use kube::api::ListParams;

use crate::Ended;
use crate::args::Output;
use crate::claims::{Kind, Summary};
use crate::cluster::Cluster;
use crate::output;
use crate::when::between;

pub(crate) async fn run(cluster: &Cluster, all: bool, output: Output) -> Result<Ended> {
    let summaries = read(cluster, all).await?;
    match output {
        Output::Json => output::json(&summaries)?,
        Output::Text if summaries.is_empty() && all => println!("no claims"),
        Output::Text if summaries.is_empty() => {
            println!("no claims in namespace {}", cluster.namespace);
        }
        Output::Text => print!("{}", text(&summaries, all, output::width())),
    }
    Ok(Ended::Well)
}

async fn read(cluster: &Cluster, all: bool) -> Result<Vec<Summary>> {
    let params = ListParams::default();
    let (claims, role_claims) = if all {
        (
            cluster.everywhere::<DatabaseClaim>(),
            cluster.everywhere::<DbRoleClaim>(),
        )
    } else {
        (cluster.api(), cluster.api())
    };
    let claims = claims.list(&params).await.context("cannot list claims")?;
    let role_claims = role_claims.list(&params).await;
    let role_claims = role_claims.context("cannot list role claims")?;
    let mut summaries: Vec<_> = claims.iter().map(Summary::of_claim).collect();
    summaries.extend(role_claims.iter().map(Summary::of_role_claim));
    summaries.sort_by(|one, other| {
        let key = |summary: &Summary| {
            (
                summary.namespace.clone(),
                summary.kind,
                summary.name.clone(),
            )
        };
        key(one).cmp(&key(other))
    });
    Ok(summaries)
}

fn text(summaries: &[Summary], all: bool, width: Option<usize>) -> String {
    let now = Timestamp::now();
    let rows = summaries.iter().map(|summary| {
        let name = if all {
            format!("{}/{}", summary.namespace, summary.name)
        } else {
            summary.name.clone()
        };
        let dash = || "-".to_owned();
        let kind = match summary.kind {
            Kind::Claim => "claim",
            Kind::Role => "role",
        };
        let ready = match summary.ready {
            Some(true) => "True",
            Some(false) => "False",
            None => "-",
        };
        [
            name,
            kind.to_owned(),
            ready.to_owned(),
            summary.login.clone().unwrap_or_else(dash),
            summary.rotated_at.map_or_else(dash, |at| between(at, now)),
            summary
                .next_rotation_at
                .map_or_else(dash, |at| between(now, at)),
            summary.remark(),
        ]
    });
    let head = ["NAME", "KIND", "READY", "LOGIN", "AGE", "NEXT", "STATUS"];
    output::table(head, &rows.collect::<Vec<_>>(), width)
}
