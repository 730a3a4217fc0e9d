use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PATIENCE: Duration = Duration::from_mins(10);

#[test]
fn a_budget_that_is_used_up_returns_a_minute_later_in_order() {
    let (mut turns, now) = (Turns::default(), Instant::now());
    assert_eq!(turns.ask(1, "first", PATIENCE, now), None);
    assert_eq!(turns.ask(1, "second", PATIENCE, now), Some(MINUTE));
    assert_eq!(turns.ask(1, "third", PATIENCE, now), Some(2 * MINUTE));
    // Asked again, each keeps its place.
    assert_eq!(turns.ask(1, "second", PATIENCE, now), Some(MINUTE));
    // Who comes later does not overtake.
    let later = now + MINUTE;
    assert!(turns.ask(1, "third", PATIENCE, later).is_some());
    assert_eq!(turns.ask(1, "second", PATIENCE, later), None);
    assert_eq!(turns.ask(1, "third", PATIENCE, later + MINUTE), None);
}

#[test]
fn who_does_not_return_loses_its_place() {
    let (mut turns, now) = (Turns::default(), Instant::now());
    assert_eq!(turns.ask(1, "first", PATIENCE, now), None);
    assert!(turns.ask(1, "gone", PATIENCE, now).is_some());
    let later = now + 2 * MINUTE;
    assert_eq!(turns.ask(1, "other", PATIENCE, later), None);
    assert!(turns.queue.is_empty());
}

#[test]
fn a_bound_that_was_raised_counts_at_once() {
    let (mut turns, now) = (Turns::default(), Instant::now());
    assert_eq!(turns.ask(1, "first", PATIENCE, now), None);
    assert!(turns.ask(1, "second", PATIENCE, now).is_some());
    assert_eq!(turns.ask(2, "second", PATIENCE, now), None);
}

proptest! {
    /// Claims that return when they were told to, a little late as in life, and some that go away.
    #[test]
    fn no_minute_sees_more_and_nobody_waits_for_ever(
        limit in 1usize..6, claims in 1usize..40, late in prop::collection::vec(0u64..900, 40),
        gone in prop::collection::vec(prop::bool::weighted(0.1), 40), patience in 60u64..900,
    ) {
        let (mut turns, start) = (Turns::default(), Instant::now());
        let mut asks: BTreeMap<(Instant, usize), u32> = (0..claims).map(|n| ((start, n), 1)).collect();
        let mut begun: Vec<Instant> = Vec::new();
        let end = start + MINUTE * u32::try_from(2 * claims / limit + 18).unwrap();
        while let Some(((now, claim), count)) = asks.pop_first() {
            prop_assert!(now < end, "claim {claim} still waits");
            let patience = Duration::from_secs(patience);
            let Some(wait) = turns.ask(limit, &claim.to_string(), patience, now) else {
                begun.push(now);
                continue;
            };
            prop_assert!(wait > Duration::ZERO && wait <= patience);
            // A look at the end of its patience, and one or two about its turn.
            let looks = 3 + 2 * now.duration_since(start).as_secs() / 60;
            prop_assert!(u64::from(count) <= looks, "claim {claim} asked {count} times");
            if !gone[claim] {
                let again = now + wait + Duration::from_millis(late[claim]);
                asks.insert((again, claim), count + 1);
            }
        }
        begun.sort();
        for (first, next) in begun.iter().zip(begun.iter().skip(limit)) {
            prop_assert!(*next - *first >= MINUTE, "{limit} a minute are passed");
        }
    }
}
