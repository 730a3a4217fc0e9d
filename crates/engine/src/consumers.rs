//! Which of a claim's pods already use its newest credential, counted from their own answers.

use std::time::Duration;

use api::claim::ConsumersStatus;

/// What a pod's proxy said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It uses the credential of this number.
    Uses(i64),
    /// It uses none that has a number: not the one that is mounted.
    Another,
    /// Nothing that could be understood, within its time.
    Silent,
}

/// So many pods are named at most.
const NAMED: usize = 10;

/// Before the first question, in which most kubelets have not brought the Secret yet; doubles.
pub const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// So often pods are asked about one credential, within eight and a half minutes; then once at each
/// drift check.
const QUESTIONS: u32 = 9;

/// How long to wait before pods are asked again; `None` if they were asked often enough.
pub fn pause(asked: u32) -> Option<Duration> {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(asked));
    (asked < QUESTIONS).then_some(doubled)
}

/// The count after which one question is left.
pub const LAST_QUESTION: u32 = QUESTIONS - 1;

/// The answers of all pods about the credential of this number; `None` where there is no pod. Who
/// is ahead of it saw the next one before we asked.
pub fn tally(generation: i64, mut answers: Vec<(String, Answer)>) -> Option<ConsumersStatus> {
    if answers.is_empty() {
        return None;
    }
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    let total = answers.len();
    answers.retain(|(_, answer)| !matches!(answer, Answer::Uses(used) if *used >= generation));
    let current = total - answers.len();
    let named = |is_silent: bool| {
        let those = answers.iter();
        let those = those.filter(|(_, answer)| (*answer == Answer::Silent) == is_silent);
        those.map(|(pod, _)| pod.clone()).take(NAMED).collect()
    };
    let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
    Some(ConsumersStatus {
        generation,
        current: count(current),
        total: count(total),
        lagging: named(false),
        unreachable: named(true),
        summary: format!("{current}/{total} on generation {generation}"),
    })
}

/// Whether status says that every pod has the credential of this number. Without an entry no pod
/// was found, which is all the same.
pub fn are_current(status: Option<&ConsumersStatus>, generation: i64) -> bool {
    status.is_none_or(|it| it.generation == generation && it.current == it.total)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            any::<i64>().prop_map(Answer::Uses),
            (0_i64..20).prop_map(Answer::Uses),
            Just(Answer::Another),
            Just(Answer::Silent),
        ]
    }

    proptest! {
        #[test]
        fn counts_add_up_and_names_are_bounded(generation in 1_i64..20, answers in vec(answer(), 0..40)) {
            let pods = answers.iter().enumerate();
            let pods: Vec<_> = pods.map(|(n, answer)| (format!("till-{n:02}"), *answer)).collect();
            let Some(status) = tally(generation, pods.clone()) else {
                prop_assert!(pods.is_empty());
                return Ok(());
            };
            let has_it = |pod: &str| {
                let it = pods.iter().find(|(name, _)| name == pod).map(|(_, answer)| *answer);
                matches!(it, Some(Answer::Uses(used)) if used >= generation)
            };
            let behind = pods.iter().filter(|(pod, _)| !has_it(pod)).count();
            prop_assert_eq!(status.total, i64::try_from(pods.len()).unwrap());
            prop_assert_eq!(status.total - status.current, i64::try_from(behind).unwrap());
            let named: Vec<_> = status.lagging.iter().chain(&status.unreachable).collect();
            prop_assert!(named.iter().all(|pod| !has_it(pod)));
            prop_assert!(status.lagging.len() <= NAMED && status.unreachable.len() <= NAMED);
            prop_assert!(behind > NAMED || named.len() == behind);
            prop_assert_eq!(are_current(Some(&status), generation), behind == 0);
            prop_assert!(!are_current(Some(&status), generation + 1));
        }
    }

    #[test]
    fn what_people_read() {
        let answers = [
            ("b", Answer::Another),
            ("a", Answer::Uses(12)),
            ("c", Answer::Silent),
        ];
        let answers = answers.map(|(pod, answer)| (pod.to_owned(), answer));
        let status = tally(12, answers.to_vec()).unwrap();
        assert_eq!(status.summary, "1/3 on generation 12");
        assert_eq!(
            (status.lagging, status.unreachable),
            (vec!["b".to_owned()], vec!["c".to_owned()])
        );
    }

    #[test]
    fn questions_become_rare_and_end() {
        let pauses: Vec<_> = (0..).map_while(pause).map(|it| it.as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512]);
    }
}
