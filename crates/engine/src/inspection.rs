//! Sessions as people look for them: by login and pod.

use std::collections::BTreeMap;

use api::claim::SessionGroup;

use crate::catalog::Session;

/// So many groups are told; the count of sessions tells of the rest.
const MOST: usize = 50;

/// A pod that may be a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub addresses: Vec<String>,
    /// Such as `Deployment/till`.
    pub workload: Option<String>,
    pub node: Option<String>,
    /// The node's own address, which a pod in its network, or behind it, has for the server.
    pub node_address: Option<String>,
}

/// Sessions by login and address, each with the pod that has the address. Where the address is a
/// node's, nobody can tell which of its pods it is.
pub fn groups(sessions: &[Session], pods: &[Pod]) -> Vec<SessionGroup> {
    let mut groups = BTreeMap::<_, SessionGroup>::new();
    for session in sessions {
        let login = session.login.to_string();
        let address = session.client.clone();
        let group = groups.entry((login.clone(), address.clone()));
        let group = group.or_insert_with(|| named(login, address, pods));
        group.count += 1;
        group.since = [group.since, session.since].into_iter().flatten().min();
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|one, other| {
        let key = |group: &SessionGroup| {
            let place = (group.pod.clone(), group.address.clone());
            (group.login.clone(), place.0.is_none(), place)
        };
        key(one).cmp(&key(other))
    });
    groups.truncate(MOST);
    groups
}

pub(crate) fn named(login: String, address: Option<String>, pods: &[Pod]) -> SessionGroup {
    let has_it = |pod: &&Pod| {
        address
            .as_ref()
            .is_some_and(|it| pod.addresses.contains(it))
    };
    let is_on_it = |pod: &&Pod| address.is_some() && pod.node_address == address;
    let node_of = |pod: &Pod| pod.node.clone();
    let on_node = pods.iter().find(is_on_it).and_then(node_of);
    let pod = pods.iter().find(has_it).filter(|_| on_node.is_none());
    SessionGroup {
        login,
        pod: pod.map(|pod| pod.name.clone()),
        workload: pod.and_then(|pod| pod.workload.clone()),
        node: on_node.or_else(|| pod.and_then(node_of)),
        address,
        ..SessionGroup::default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::names::Login;

    fn session(login: &str, client: Option<&str>, since: i64) -> Session {
        Session {
            login: Login::try_from(login).unwrap(),
            pid: 7,
            client: client.map(str::to_owned),
            since: Timestamp::from_second(since).ok(),
        }
    }

    fn pod(name: &str, address: &str) -> Pod {
        Pod {
            name: name.to_owned(),
            addresses: vec![address.to_owned()],
            workload: Some("Deployment/till".to_owned()),
            node: Some("n1".to_owned()),
            node_address: Some("192.168.0.1".to_owned()),
        }
    }

    #[test]
    fn sessions_are_told_by_pod_and_a_node_is_no_pod() {
        let host = pod("host", "192.168.0.1");
        let pods = [pod("till-1", "10.0.0.7"), host];
        let sessions = [
            session("clerk_b", Some("10.0.0.7"), 20),
            session("clerk_b", Some("10.0.0.7"), 10),
            session("clerk_a", Some("10.0.0.7"), 30),
            session("clerk_b", Some("192.168.0.1"), 40),
            session("clerk_b", Some("172.16.0.1"), 50),
            session("clerk_b", None, 60),
        ];
        let groups = groups(&sessions, &pods);
        let told = groups.iter().map(|group| {
            let pod = group.pod.as_deref().unwrap_or("-");
            let node = group.node.as_deref().unwrap_or("-");
            let address = group.address.as_deref().unwrap_or("-");
            let since = group.since.map_or(0, Timestamp::as_second);
            format!(
                "{} {pod} {node} {address} {} {since}",
                group.login, group.count
            )
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "clerk_a till-1 n1 10.0.0.7 1 30",
                "clerk_b till-1 n1 10.0.0.7 2 10",
                "clerk_b - - - 1 60",
                "clerk_b - - 172.16.0.1 1 50",
                "clerk_b - n1 192.168.0.1 1 40",
            ]
        );
    }

    #[test]
    fn however_many_sessions_the_answer_is_bounded() {
        let sessions = (0..500).map(|n| session("clerk_a", Some(&format!("10.0.{n}.1")), n));
        assert_eq!(groups(&sessions.collect::<Vec<_>>(), &[]).len(), MOST);
    }
}
