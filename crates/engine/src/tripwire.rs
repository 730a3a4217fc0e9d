//! Attempts to log in that a server refused, as its log tells them, and whose logins they are about.
//! Of a log only the time, a login that is ours, and the client's address go further: whoever
//! connects to a server writes into its log.

pub mod mongod;
mod tally;

use std::{net::IpAddr, time::Duration};

use jiff::{SignedDuration, Timestamp};

pub use self::tally::{Group, Tally, note};
use crate::names::Login;

/// How long after a change of credentials a late attempt with the former one is told apart: a pod
/// may not have the new Secret before.
pub const GRACE: Duration = Duration::from_mins(2);

/// How far the clock of a server may be from ours, and a record behind what it records.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// An attempt to log in that a server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub at: Timestamp,
    pub login: Login,
    /// MongoDB: where the login would be defined.
    pub database: Option<String>,
    /// The client, as the server sees it; `None` for a local socket, or where it is told by name.
    pub address: Option<IpAddr>,
}

impl Attempt {
    /// Out of the words of a log. `None` where they are no attempt on anything that could be ours.
    pub fn parse(
        at: Timestamp,
        login: &str,
        database: Option<&str>,
        address: Option<&str>,
    ) -> Option<Self> {
        Some(Self {
            at,
            login: Login::try_from(login).ok()?,
            database: database.map(str::to_owned),
            address: address.and_then(ip),
        })
    }

    /// Whether it is the controller's own, which found a credential refused at that time.
    pub fn is_of(&self, login: &Login, refused_at: Timestamp) -> bool {
        self.login == *login && self.at.duration_since(refused_at).abs() <= MARGIN
    }
}

/// An address without the zone that IPv6 has for links.
fn ip(text: &str) -> Option<IpAddr> {
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// What was read of a server's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Where reading goes on.
    pub position: String,
    /// Whether there is more to read at once.
    pub is_behind: bool,
    pub attempts: Vec<Attempt>,
}

/// Why a server's log can't be read, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blind {
    #[error(
        "the server keeps no log that can be read through SQL; set logging_collector = on and log_destination = jsonlog (PostgreSQL 14: csvlog), then restart it"
    )]
    NoLog,
    #[error(
        "database {database} has no function dbcontroller.refused_logins that belongs to a superuser and that the admin may execute; the operations guide has its text"
    )]
    NoFunction { database: String },
    #[error("the admin may not read the server's log; grant it the action getLog on the cluster")]
    NoRight,
    #[error("this service gives no log to its clients; look at what its provider has for that")]
    NoCommand,
}

/// Where an attempt stands to the last change of its login's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// Right at a change: perhaps a pod that was late.
    Switch,
    /// Long after it.
    Settled,
}

/// Logins that are one claim's.
#[derive(Debug, Clone)]
pub struct Holder<K> {
    pub claim: K,
    pub logins: Vec<Login>,
    /// MongoDB: where they are defined.
    pub databases: Vec<String>,
    /// When its credential was last replaced or revoked.
    pub switched_at: Option<Timestamp>,
}

impl<K> Holder<K> {
    /// Whether the attempt was on one of its logins.
    pub fn holds(&self, attempt: &Attempt) -> bool {
        let database = attempt.database.as_ref();
        self.logins.contains(&attempt.login)
            && database.is_none_or(|database| self.databases.contains(database))
    }

    pub fn phase(&self, attempt: &Attempt, grace: Duration) -> Phase {
        let Some(switched_at) = self.switched_at else {
            return Phase::Settled;
        };
        let since = attempt.at.duration_since(switched_at);
        // Nothing that is asked of this bound comes near the longest duration.
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
        if since >= -MARGIN && since < grace {
            Phase::Switch
        } else {
            Phase::Settled
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(second: i64, login: &str, database: Option<&str>) -> Attempt {
        let at = Timestamp::from_second(second).unwrap();
        Attempt::parse(at, login, database, Some("10.0.0.7")).unwrap()
    }

    fn holder() -> Holder<&'static str> {
        Holder {
            claim: "shop/orders",
            logins: ["clerk_a", "clerk_b"]
                .map(|login| Login::try_from(login).unwrap())
                .into(),
            databases: vec!["dbclaims".to_owned()],
            switched_at: Timestamp::from_second(1000).ok(),
        }
    }

    #[test]
    fn only_logins_of_claims_count_and_only_where_they_are_defined() {
        let holder = holder();
        assert!(holder.holds(&attempt(0, "clerk_b", None)));
        assert!(!holder.holds(&attempt(0, "clerk_c", None)));
        assert!(holder.holds(&attempt(0, "clerk_a", Some("dbclaims"))));
        assert!(!holder.holds(&attempt(0, "clerk_a", Some("admin"))));
    }

    #[test]
    fn who_is_late_at_a_change_is_told_apart() {
        let phase = |second| holder().phase(&attempt(second, "clerk_a", None), GRACE);
        assert_eq!(phase(900), Phase::Settled);
        assert_eq!(phase(990), Phase::Switch);
        assert_eq!(phase(1119), Phase::Switch);
        assert_eq!(phase(1120), Phase::Settled);
        let never = Holder {
            switched_at: None,
            ..holder()
        };
        let late = attempt(1000, "clerk_a", None);
        assert_eq!(never.phase(&late, GRACE), Phase::Settled);
        let soon = holder().phase(&attempt(1002, "clerk_a", None), Duration::from_secs(1));
        assert_eq!(soon, Phase::Settled);
    }

    #[test]
    fn a_refusal_of_our_own_is_known_by_login_and_time() {
        let (attempt, login) = (attempt(1000, "clerk_a", None), &holder().logins[0]);
        let is_of = |second| attempt.is_of(login, Timestamp::from_second(second).unwrap());
        assert!(is_of(1001) && is_of(970) && is_of(1030));
        assert!(!is_of(969) && !is_of(1031));
        assert!(!attempt.is_of(&holder().logins[1], attempt.at));
    }

    #[test]
    fn only_an_address_is_an_address() {
        let parse = |text| {
            let attempt = Attempt::parse(Timestamp::UNIX_EPOCH, "clerk_a", None, Some(text));
            attempt.unwrap().address.map(|address| address.to_string())
        };
        assert_eq!(parse("10.0.0.7").as_deref(), Some("10.0.0.7"));
        assert_eq!(parse("fe80::1%eth0").as_deref(), Some("fe80::1"));
        assert_eq!(parse("::ffff:10.0.0.7").as_deref(), Some("10.0.0.7"));
        for other in ["[local]", "hunter2.example.com", "10.0.0.7:80", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
