//! Any name and any text come back from a real server as they went in.

use anyhow::{Result, anyhow};
use engine::{mark::Mark, names::RoleName, step::ServerStep};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::stage::{Claim, Rank, Stage};

fn name() -> impl Strategy<Value = String> {
    let hostile = r#"['"\\;$%{}a-zA-Z0-9 ü数/*-]{1,20}"#;
    prop_oneof![hostile, r"\PC{1,15}"].prop_filter("too long", |name| name.len() <= 61)
}

#[test]
fn row_35_names_and_comments_come_back_as_they_went_in() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let stage = runtime.block_on(Stage::new(Rank::Owner))?;
    // The driver's connections belong to the runtime, so all cases share it.
    let mut runner = TestRunner::new(Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&(name(), any::<String>()), |(role, text)| {
        let text = text.replace('\0', "");
        let round_trip = round_trip(&stage, &role, &text);
        let comment = runtime.block_on(round_trip);
        let comment = comment.map_err(|err| TestCaseError::fail(format!("{err:#}")))?;
        prop_assert_eq!(comment, Mark::new(text, "0f3a").to_string());
        Ok(())
    });
    outcome.map_err(|err| anyhow!("{err}"))
}

/// Makes a role with a comment, reads the comment, drops the role.
async fn round_trip(stage: &Stage, role: &str, text: &str) -> Result<String> {
    let claim = Claim::new(role, "orders")?;
    let role = RoleName::try_from(role)?;
    let mark = Mark::new(text, "0f3a");
    let mut session = stage.session().await?;
    let catalog = claim.observe(&mut session).await?;
    let create = ServerStep::CreateOwner {
        role: role.clone(),
        mark,
    };
    session.apply(&[create], &catalog).await?;
    let catalog = claim.observe(&mut session).await?;
    let found = catalog.roles.get(role.as_str());
    let comment = found
        .and_then(|found| found.comment.clone())
        .unwrap_or_default();
    session
        .apply(&[ServerStep::DropOwner { role }], &catalog)
        .await?;
    Ok(comment)
}
