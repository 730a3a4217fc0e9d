//! What differs on the server and stays so, in words: for a condition that is written once, however
//! often the same is found.

use api::conditions::reason;

use crate::{decide::ContentsPlan, step::DatabaseStep};

/// Why a difference is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::EnumIter)]
pub enum Why {
    /// The admin may not put it right.
    Admin,
    /// The claim says that the server is only looked at.
    Policy,
    /// The role is older than the claim, and somebody may rely on what it has.
    Older,
}

/// So many differences are told.
const MOST: usize = 10;

impl Why {
    /// How the condition begins.
    fn opening(self) -> &'static str {
        match self {
            Self::Admin => "the admin may not put right that",
            Self::Policy => {
                "driftPolicy is Observe, so only the published credential is repaired, and it stays that"
            }
            Self::Older => {
                "nothing is taken from an owner role that is older than its claim, and it stays that"
            }
        }
    }

    /// As a plan says why a step is not taken.
    pub fn remark(self) -> &'static str {
        match self {
            Self::Admin => "the admin may not do it",
            Self::Policy => "driftPolicy is Observe",
            Self::Older => "the role is older than the claim",
        }
    }
}

/// All that is left, in the order in which it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift(Vec<(Why, String)>);

impl Drift {
    /// Adds a difference, as one plain sentence.
    pub fn add(&mut self, why: Why, sentence: String) {
        self.0.push((why, sentence));
    }

    /// Adds what a look inside the database found, which is not changed.
    pub fn look_inside(&mut self, contents: Option<&ContentsPlan>) {
        let steps = contents.into_iter().flat_map(|plan| &plan.steps);
        let sentences = steps.flat_map(DatabaseStep::differences);
        self.0.extend(sentences.map(|it| (Why::Policy, it)));
    }

    /// Reason and message of the condition, where anything differs.
    pub fn condition(&self) -> Option<(&'static str, String)> {
        let (first, _) = self.0.iter().min_by_key(|(why, _)| *why)?;
        let reason = match first {
            Why::Admin => reason::NOT_REPAIRABLE,
            Why::Policy | Why::Older => reason::OBSERVED,
        };
        // What the admin can't do is a person's to do, and is told first.
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(why, _)| *why);
        let more = all.len().saturating_sub(MOST);
        all.truncate(MOST);
        let (mut pieces, mut before) = (Vec::new(), None);
        for (why, sentence) in all {
            pieces.push(if before == Some(why) {
                sentence.clone()
            } else {
                format!("{}: {sentence}", why.opening())
            });
            before = Some(why);
        }
        if more > 0 {
            pieces.push(format!("and {more} more"));
        }
        Some((reason, pieces.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(left: &[(Why, &str)]) -> Drift {
        let mut drift = Drift::default();
        for (why, sentence) in left {
            drift.add(*why, (*sentence).to_owned());
        }
        drift
    }

    #[test]
    fn what_a_person_must_do_comes_first_and_gives_the_reason() {
        assert_eq!(drift(&[]).condition(), None);
        let (reason, message) = drift(&[
            (Why::Policy, "login a is missing"),
            (Why::Admin, "role b may replicate"),
            (Why::Policy, "x is a member of b"),
        ])
        .condition()
        .unwrap();
        assert_eq!(reason, "NotRepairable");
        assert_eq!(
            message,
            format!(
                "{}: role b may replicate; {}: login a is missing; x is a member of b",
                Why::Admin.opening(),
                Why::Policy.opening()
            )
        );
    }

    #[test]
    fn at_most_ten_are_told_and_the_rest_is_counted() {
        let many: Vec<_> = (0..13).map(|n| format!("login {n} is missing")).collect();
        let left: Vec<_> = many.iter().map(|it| (Why::Policy, it.as_str())).collect();
        let (reason, message) = drift(&left).condition().unwrap();
        assert_eq!(reason, "Observed");
        assert_eq!(message.matches("is missing").count(), MOST);
        assert!(message.ends_with("; and 3 more"), "{message}");
    }
}
