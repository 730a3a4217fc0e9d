//! What the server's status says of its tripwire. A server on which nothing happens is written to
//! once an hour, so that a controller that starts has little to read again.

use api::{
    conditions::{self, Type, reason},
    server::{DatabaseServerStatus, TripwireStatus},
};
use engine::{ErrorClass, tripwire::Blind};
use jiff::{SignedDuration, Timestamp};

use super::Seen;
use crate::error::{Error, chain};

/// How old a recorded position may become while nothing happens.
const STALE: SignedDuration = SignedDuration::from_hours(1);

/// Puts what was seen into the status.
pub fn report(
    status: &mut DatabaseServerStatus,
    seen: &Seen,
    generation: Option<i64>,
    now: Timestamp,
) {
    let mut say = |is_watched, reason, message: String| {
        let all = &mut status.conditions;
        conditions::set(
            all,
            Type::Tripwire,
            is_watched,
            reason,
            message,
            generation,
            now,
        );
    };
    match seen {
        Seen::Off => {
            conditions::clear(&mut status.conditions, Type::Tripwire);
            status.tripwire = None;
        }
        Seen::Resting => {}
        Seen::Read { position, newest } => {
            let message = "refused logins are read in the server's log";
            say(true, reason::AVAILABLE, message.to_owned());
            move_on(&mut status.tripwire, position, *newest, now);
        }
        Seen::Blind(blind) => say(false, word(blind), blind.to_string()),
        // A server that is away is told by Ready.
        Seen::Failed(Error::Server(err)) if err.class() != ErrorClass::Unavailable => {
            say(false, err.class().reason(), chain(err));
        }
        Seen::Failed(err) => {
            tracing::debug!(error = chain(err), "the server's log was not read");
        }
    }
}

fn move_on(
    recorded: &mut Option<TripwireStatus>,
    position: &str,
    newest: Option<Timestamp>,
    now: Timestamp,
) {
    let before = recorded.clone().unwrap_or_default();
    let is_fresh = |at: Timestamp| now.duration_since(at) < STALE;
    if newest.is_none() && before.at.is_some_and(is_fresh) {
        return;
    }
    *recorded = Some(TripwireStatus {
        position: position.to_owned(),
        at: Some(now),
        last_attempt_at: before.last_attempt_at.max(newest),
    });
}

fn word(blind: &Blind) -> &'static str {
    match blind {
        Blind::NoLog | Blind::NoCommand => reason::NO_LOG,
        Blind::NoFunction { .. } => reason::NO_FUNCTION,
        Blind::NoRight => ErrorClass::Forbidden.reason(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    fn read(position: &str, newest: Option<i64>) -> Seen {
        Seen::Read {
            position: position.to_owned(),
            newest: newest.map(at),
        }
    }

    #[test]
    fn a_quiet_server_is_written_to_once_an_hour_and_one_that_is_tried_at_each_look() {
        let mut status = DatabaseServerStatus::default();
        let mut look = |seen, minute| {
            report(&mut status, &seen, Some(1), at(minute));
            let now = status.tripwire.clone().unwrap_or_default();
            (now.position, now.last_attempt_at)
        };
        assert_eq!(look(read("a:1", None), 0), ("a:1".to_owned(), None));
        assert_eq!(look(read("a:2", None), 59), ("a:1".to_owned(), None));
        assert_eq!(look(read("a:3", None), 60), ("a:3".to_owned(), None));
        let tried = ("a:4".to_owned(), Some(at(61)));
        assert_eq!(look(read("a:4", Some(61)), 61), tried);
        assert_eq!(look(read("a:5", None), 62), tried);
        assert_eq!(look(Seen::Resting, 63), tried);
    }

    #[test]
    fn what_hinders_it_is_said_and_goes_when_nobody_asks_any_more() {
        let mut status = DatabaseServerStatus::default();
        let blind = Seen::Blind(Blind::NoLog);
        report(&mut status, &blind, Some(1), at(0));
        let told = conditions::find(&status.conditions, Type::Tripwire).unwrap();
        assert_eq!(
            (told.status.as_str(), told.reason.as_str()),
            ("False", "NoLog")
        );
        assert!(
            told.message.contains("logging_collector"),
            "{}",
            told.message
        );
        report(&mut status, &Seen::Off, Some(1), at(1));
        assert_eq!(status, DatabaseServerStatus::default());
    }
}
