//! Attempts on one claim's logins, gathered until they are told: whoever tries for ever must not
//! fill the API server with Events.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::{SignedDuration, Timestamp};

use super::Attempt;
use crate::{
    inspection::{Pod, named},
    names::Login,
};

/// Between two Events about one claim. Longer than the six minutes for which what reports Events
/// takes a second one of the same reason for a repetition of the first, and keeps the first's words.
const QUIET: SignedDuration = SignedDuration::from_mins(10);

/// So many clients of one claim are kept apart; what more there are is counted together.
const MOST_GROUPS: usize = 50;

/// So many clients are told by name.
const MOST_TOLD: usize = 5;

/// Attempts on one login from one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub login: Login,
    pub address: Option<IpAddr>,
    pub times: u64,
}

/// What was found about one claim and not told yet.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    groups: BTreeMap<(Login, Option<IpAddr>), u64>,
    others: u64,
    told_at: Option<Timestamp>,
}

impl Tally {
    pub fn add(&mut self, attempt: &Attempt) {
        let key = (attempt.login.clone(), attempt.address);
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            self.others += 1;
            return;
        }
        *self.groups.entry(key).or_default() += 1;
    }

    /// What is to be told now: everything, if nothing was told for a while.
    pub fn take_due(&mut self, now: Timestamp) -> Option<(Vec<Group>, u64)> {
        if self.groups.is_empty() || self.is_quiet(now) {
            return None;
        }
        self.told_at = Some(now);
        let groups = std::mem::take(&mut self.groups).into_iter();
        let groups = groups.map(|((login, address), times)| Group {
            login,
            address,
            times,
        });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.times));
        Some((groups, std::mem::take(&mut self.others)))
    }

    /// Whether forgetting it would change nothing.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.groups.is_empty() && !self.is_quiet(now)
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        let since = self.told_at.map(|at| now.duration_since(at));
        since.is_some_and(|since| since < QUIET)
    }
}

/// The Event's note: who tried what how often, and what to do about it.
pub fn note(groups: &[Group], others: u64, pods: &[Pod]) -> String {
    let told: Vec<_> = groups
        .iter()
        .take(MOST_TOLD)
        .map(|group| sentence(group, pods))
        .collect();
    let rest = groups.iter().skip(MOST_TOLD).map(|group| group.times);
    let rest = rest.sum::<u64>() + others;
    let more = if rest > 0 {
        format!("; and {rest} more from elsewhere")
    } else {
        String::new()
    };
    format!(
        "refused with a password that is not valid, as a retired one is: {}{more}. \
         Find who still has an old Secret; if nobody should, it may have leaked: \
         end the present credential with kubectl dbclaim revoke",
        told.join("; ")
    )
}

fn sentence(group: &Group, pods: &[Pod]) -> String {
    let Group {
        login,
        address,
        times,
    } = group;
    let Some(address) = address.map(|address| address.to_string()) else {
        return format!("login {login} from an unknown address{}", often(*times));
    };
    let found = named(login.to_string(), Some(address.clone()), pods);
    let who = match (found.pod, found.workload, found.node) {
        (Some(pod), Some(workload), _) => format!(" (pod {pod} of {workload})"),
        (Some(pod), None, _) => format!(" (pod {pod})"),
        (None, _, Some(node)) => format!(" (node {node}, or a pod behind it)"),
        (None, _, None) => String::new(),
    };
    format!("login {login} from {address}{who}{}", often(*times))
}

fn often(times: u64) -> String {
    if times == 1 {
        String::new()
    } else {
        format!(", {times} times")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(login: &str, address: Option<&str>) -> Attempt {
        Attempt::parse(Timestamp::UNIX_EPOCH, login, None, address).unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    #[test]
    fn what_comes_soon_after_an_event_is_told_with_the_next() {
        let mut tally = Tally::default();
        assert_eq!(tally.take_due(at(0)), None);
        tally.add(&attempt("clerk_a", Some("10.0.0.7")));
        assert_eq!(tally.take_due(at(0)).unwrap().0.len(), 1);
        assert!(!tally.is_over(at(9)));
        for _ in 0..3 {
            tally.add(&attempt("clerk_a", Some("10.0.0.8")));
        }
        assert_eq!(tally.take_due(at(9)), None);
        let (groups, _) = tally.take_due(at(10)).unwrap();
        assert_eq!((groups.len(), groups[0].times), (1, 3));
        assert!(tally.is_over(at(20)));
    }

    #[test]
    fn however_many_clients_memory_and_note_are_bounded() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            let address = format!("10.0.{}.{}", n / 250, n % 250);
            tally.add(&attempt(&"clerk".repeat(12), Some(&address)));
        }
        let (groups, others) = tally.take_due(at(0)).unwrap();
        assert_eq!((groups.len(), others), (MOST_GROUPS, 950));
        let note = note(&groups, others, &[]);
        assert!(note.contains("995 more") && note.len() < 1024, "{note}");
    }

    #[test]
    fn a_note_names_the_pod_and_what_to_do() {
        let pod = Pod {
            name: "till-1".to_owned(),
            addresses: vec!["10.0.0.7".to_owned()],
            workload: Some("Deployment/till".to_owned()),
            node: Some("n1".to_owned()),
            node_address: Some("192.168.0.1".to_owned()),
        };
        let group = |address: &str, times| Group {
            login: Login::try_from("clerk_a").unwrap(),
            address: address.parse().ok(),
            times,
        };
        let groups = [group("10.0.0.7", 2), group("192.168.0.1", 1), group("-", 1)];
        let note = note(&groups, 0, &[pod]);
        for words in [
            "login clerk_a from 10.0.0.7 (pod till-1 of Deployment/till), 2 times; ",
            "from 192.168.0.1 (node n1, or a pod behind it); ",
            "login clerk_a from an unknown address. Find who",
            "kubectl dbclaim revoke",
        ] {
            assert!(note.contains(words), "{note}");
        }
    }
}
