//! What a pass would do, in words: the same decisions, carried out by nobody.

use jiff::Timestamp;

use super::{CredentialStep, credential, house, retirement, revocation};
use crate::{names::DatabaseName, observed::Observed, schedule, step::ServerStep, wishes::Wishes};

/// The steps in their order, or why none would be taken. Empty where all is as it should be.
/// Rights in a database are looked at from inside it only, and are not part of this.
pub fn plan(
    wishes: &Wishes,
    database: &DatabaseName,
    observed: &Observed,
    now: Timestamp,
) -> Vec<String> {
    let house = match house(wishes, database, observed, now) {
        Ok(house) => house,
        Err(refusal) => return vec![format!("nothing: {refusal}")],
    };
    let mut plan = titles(&house.steps);
    plan.extend(titles(&house.repairs));
    plan.extend(titles(&house.leaving));
    plan.extend(of_credential(wishes, observed, now));
    if let Some(revocation) = revocation(wishes, observed)
        && let Some(login) = revocation.login
    {
        plan.push(format!(
            "shutting login {login} and ending its sessions: revoked"
        ));
    }
    plan.extend(titles(&retirement(wishes, observed, now).steps));
    let left = house.left.iter();
    plan.extend(left.map(|(step, why)| format!("not {}: {}", step.title(), why.remark())));
    plan
}

fn titles(steps: &[ServerStep]) -> Vec<String> {
    steps.iter().map(ServerStep::title).collect()
}

fn of_credential(wishes: &Wishes, observed: &Observed, now: Timestamp) -> Option<String> {
    match credential(wishes, observed, now) {
        CredentialStep::Keep => None,
        CredentialStep::Restore { login } => Some(format!(
            "setting the published password of login {login} again"
        )),
        CredentialStep::Replace { idle, cause, .. } => Some(format!(
            "publishing login {} with another password: {}",
            idle.login(),
            cause.sentence()
        )),
        CredentialStep::Defer {
            idle,
            cause,
            sessions,
        } => {
            let login = idle.login();
            let count = sessions.len();
            let bound = wishes.timing.max_overlap.map(|bound| {
                let since = observed.recorded.deferred_since.unwrap_or(now);
                format!(", at most until {}", schedule::after(since, bound))
            });
            Some(format!(
                "waiting for {count} sessions of login {login}{} before it is published: {}",
                bound.unwrap_or_default(),
                cause.sentence()
            ))
        }
    }
}
