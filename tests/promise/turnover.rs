//! Claims that rotate as fast as the controller can, each under a prober.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::names::annotation;
use kube::ResourceExt;
use serde_json::json;
use testkit::prober::{ProbeReport, Prober};
use testkit::wait::wait_for;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::role_claims::RoleClaims;
use crate::support::{Stage, log_in, texts};

/// A rotation that does not come is asked for again: its controller may be dead or frozen.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same where the controller lives: on a busy machine a rotation takes longer than a second,
/// and each new question would begin another one.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// An overlap of one second, rounded up, and the pass that ends it.
const RETIREMENT: Duration = Duration::from_millis(2500);

/// When a claim's next rotation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    WithoutPause,
    /// Late enough for an overlap of one second to end, and the previous login with it.
    AfterRetirement,
}

/// A claim and its owner role.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) pace: Pace,
}

impl Subject {
    /// The role claim that shares it, and its Secret.
    pub(crate) fn copy(&self) -> String {
        format!("copy-of-{}", self.name)
    }

    /// Gives it a role claim, whose Secret must keep the promise too.
    pub(crate) async fn share(&self, stage: &Stage) -> Result<()> {
        let role_claims = RoleClaims::of(stage);
        role_claims
            .create(&self.copy(), &self.name, json!({}))
            .await
    }
}

pub(crate) struct Turnover {
    stage: Stage,
    subjects: Vec<Subject>,
    probers: Vec<Prober>,
    token: CancellationToken,
    tasks: JoinSet<()>,
}

/// What the probers counted, and how often the credentials changed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rotations: u64,
    pub(crate) attempts: u64,
    pub(crate) overtaken: u64,
    pub(crate) failures: u64,
    pub(crate) first_failures: Vec<String>,
}

impl Turnover {
    /// Probes from now on, and asks for rotations without pause.
    pub(crate) fn start(stage: &Stage, subjects: Vec<Subject>) -> Self {
        let token = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut probers = Vec::new();
        for subject in &subjects {
            let Subject { name, pace, .. } = subject;
            for secret in [name, &subject.copy()] {
                let client = stage.client.clone();
                probers.push(Prober::start(client, &stage.namespace, secret));
            }
            tasks.spawn(keep_asking(
                stage.clone(),
                name.clone(),
                *pace,
                token.clone(),
            ));
        }
        Self {
            stage: stage.clone(),
            subjects,
            probers,
            token,
            tasks,
        }
    }

    /// Rotations of all claims so far: what the Secrets themselves say.
    pub(crate) async fn rotations(&self) -> Result<u64> {
        let mut all = 0;
        for Subject { name, .. } in &self.subjects {
            all += generation(&self.stage, name).await?;
        }
        Ok(all)
    }

    /// Waits until there are that many more rotations than now.
    pub(crate) async fn more(&self, rotations: u64) -> Result<u64> {
        let goal = self.rotations().await? + rotations;
        wait_for(format!("rotation {goal}"), async || {
            let now = self.rotations().await?;
            ensure!(now >= goal, "{now} rotations");
            Ok(Some(now))
        })
        .await
    }

    /// Stops asking, sees that every claim converges, and counts.
    pub(crate) async fn settle(mut self) -> Result<Tally> {
        self.token.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("who asks for rotations panicked")?;
        }
        for subject in &self.subjects {
            let Subject { name, role, .. } = subject;
            rotate(&self.stage, name).await?;
            self.stage.ready(name).await?;
            let runs_as = log_in(&self.stage.secret(name).await?).await?;
            ensure!(runs_as == *role, "claim {name} logs in as {runs_as}");
            follows(&self.stage, subject).await?;
        }
        let mut tally = Tally {
            rotations: self.rotations().await?,
            ..Tally::default()
        };
        for prober in self.probers {
            let ProbeReport {
                attempts,
                failures,
                overtaken,
                credentials: _,
                first_failures,
            } = prober.stop().await?;
            tally.attempts += attempts;
            tally.failures += failures;
            tally.overtaken += overtaken;
            tally.first_failures.extend(first_failures);
        }
        Ok(tally)
    }
}

impl Tally {
    /// Prints the figures and demands that the promise was kept.
    pub(crate) fn check(&self, what: &str) {
        let Self {
            rotations,
            attempts,
            overtaken,
            failures,
            first_failures,
        } = self;
        eprintln!(
            "promise: {what}: {rotations} rotations, {attempts} logins tried ({overtaken} overtaken by a newer Secret), {failures} failed"
        );
        assert_eq!(*failures, 0, "{first_failures:?}");
        assert!(attempts > rotations, "the probers slept");
    }
}

/// Waits until the role claim that shares the subject, if there is one, holds what it publishes.
async fn follows(stage: &Stage, subject: &Subject) -> Result<()> {
    wait_for(format!("the copy of {}", subject.name), async || {
        let Some(copy) = stage.secrets().get_opt(&subject.copy()).await? else {
            return Ok(Some(()));
        };
        Ok((texts(&copy) == stage.secret(&subject.name).await?).then_some(()))
    })
    .await
}

/// How often the claim's credential was replaced, by its Secret; none for no Secret.
pub(crate) async fn generation(stage: &Stage, name: &str) -> Result<u64> {
    let secret = stage.secrets().get_opt(name).await?;
    let generation = secret.and_then(|secret| {
        let annotations = secret.annotations();
        annotations.get(annotation::GENERATION).cloned()
    });
    Ok(generation.unwrap_or_else(|| "0".to_owned()).parse()?)
}

/// One rotation that is done and recorded. Asked for again where sessions that were just ending
/// deferred it: the controller looks again at once then, not half a minute later.
pub(crate) async fn rotate(stage: &Stage, name: &str) -> Result<()> {
    wait_for(format!("claim {name} to rotate"), async || {
        let asked = tokio::time::timeout(LONG_PATIENCE, stage.rotate(name)).await;
        Ok(asked.ok().transpose()?.map(drop))
    })
    .await
}

async fn keep_asking(stage: Stage, name: String, pace: Pace, token: CancellationToken) {
    while !token.is_cancelled() {
        // An API server that is away is asked again; the test itself says what must not fail.
        let Ok(nonce) = stage.ask_rotation(&name).await else {
            continue;
        };
        let handled = async {
            while !token.is_cancelled() && !is_handled(&stage, &name, &nonce).await {
                tokio::time::sleep(testkit::process::POLL).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, handled).await;
        if pace == Pace::AfterRetirement {
            let _ = tokio::time::timeout(RETIREMENT, token.cancelled()).await;
        }
    }
}

async fn is_handled(stage: &Stage, name: &str, nonce: &str) -> bool {
    let secret = stage.secrets().get_opt(name).await;
    secret.ok().flatten().is_some_and(|secret| {
        let handled = secret.annotations().get(annotation::HANDLED_ROTATE);
        handled.map(String::as_str) == Some(nonce)
    })
}
