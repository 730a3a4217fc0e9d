//! Who uses a published Secret: an application under load, and a prober.

use anyhow::Result;
use testkit::load::{Load, LoadReport};
use testkit::prober::{ProbeReport, Prober};

use super::objects::{self, Claim};
use super::report::Row;
use super::stage::{NAMESPACE, Stage};

const WORKERS: usize = 2;

/// The users of one Secret.
pub(super) struct Traffic {
    claim: Claim,
    load: Load,
    prober: Prober,
}

impl Traffic {
    pub(super) async fn start(stage: &Stage, claim: Claim) -> Result<Self> {
        let load = Load::start(stage.client.clone(), NAMESPACE, &claim.name, WORKERS).await?;
        let prober = Prober::start(stage.client.clone(), NAMESPACE, &claim.name);
        Ok(Self {
            claim,
            load,
            prober,
        })
    }

    /// The counts of this moment.
    pub(super) async fn row(&self, stage: &Stage) -> Result<Row> {
        let rotations = rotations(stage, &self.claim).await?;
        Ok(row(
            &self.claim,
            rotations,
            self.load.report(),
            self.prober.report(),
        ))
    }

    /// Ends the work in order and returns the last counts.
    pub(super) async fn stop(self, stage: &Stage) -> Result<Row> {
        let Self {
            claim,
            load,
            prober,
        } = self;
        let probed = prober.stop().await?;
        let loaded = load.stop().await?;
        let rotations = rotations(stage, &claim).await?;
        Ok(row(&claim, rotations, loaded, probed))
    }
}

async fn rotations(stage: &Stage, claim: &Claim) -> Result<i64> {
    Ok(objects::rotations(&objects::get(stage, &claim.name).await?))
}

fn row(claim: &Claim, rotations: i64, loaded: LoadReport, probed: ProbeReport) -> Row {
    Row {
        claim: claim.name.clone(),
        server: claim.server.clone(),
        rotations,
        queries: loaded.queries,
        failed_queries: loaded.failed_queries,
        logins: loaded.logins + probed.attempts,
        // The former login works for an overlap, so that not even one that a newer Secret overtook
        // may fail here.
        failed_logins: loaded.failed_logins + probed.failures + probed.overtaken,
        failures: [loaded.first_failures, probed.first_failures].concat(),
    }
}
